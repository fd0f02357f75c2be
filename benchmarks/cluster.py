"""Prints how many photos a second Ray nodes on this machine restyle, each of one CPU.

python benchmarks/cluster.py PHOTOS [NODES ...]

Runs `pydpst apply dusk PHOTOS` by itself, then with a cluster of each number of nodes, by default 1
and 2. The seconds are those of the whole command, the start of Ray's processes included.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ray.cluster_utils import Cluster


def seconds(photos: Path, *options: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pydpst", "apply", "dusk", str(photos)]
        start = time.monotonic()
        subprocess.run([*command, "-o", f"{folder}/restyled", *options], check=True)
        return time.monotonic() - start


def main() -> None:
    photos = Path(sys.argv[1])
    count = sum(path.is_file() for path in photos.iterdir())
    print("| nodes | seconds | photos a second |")
    print("|---|---|---|")
    took = seconds(photos)
    print(f"| none | {took:.1f} | {count / took:.2f} |", flush=True)
    for nodes in map(int, sys.argv[2:] or ["1", "2"]):
        # Ray's own niceness is 15: its processes would wait for all other programs.
        head = {"num_cpus": 1, "_system_config": {"worker_niceness": 0}}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        for _ in range(nodes - 1):
            cluster.add_node(num_cpus=1)
        took = seconds(photos, "--ray", cluster.address)
        cluster.shutdown()
        print(f"| {nodes} | {took:.1f} | {count / took:.2f} |", flush=True)


if __name__ == "__main__":
    main()
