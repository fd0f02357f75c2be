"""Results for photos that are looked at again and again, as the style of a folder's photos is."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

from torch import Tensor

T = TypeVar("T")


class Remembered(Generic[T]):
    """The last few results of a function of photos, which are told apart by their pixels.

    Args:
        count: how many are kept.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._found: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = Lock()

    def __call__(self, function: Callable[[Tensor], T], photo: Tensor, way: Hashable) -> T:
        """What the function gives for a photo; not to be changed.

        Args:
            function: gives the same for the same pixels and way.
            photo: on any device.
            way: what else the result depends on.
        """
        pixels = hashlib.sha256(photo.detach().cpu().contiguous().numpy().tobytes()).digest()
        key = (pixels, photo.shape, photo.dtype, photo.device, way)
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
                return self._found[key]
        result = function(photo)
        with self._lock:
            self._found[key] = result
            while len(self._found) > self._count:
                self._found.popitem(last=False)
        return result
