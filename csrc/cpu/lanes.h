// Vectors of floats or doubles for one instruction set, and how they are read, written and looked
// up. Must follow inline.h; PYDPST_VECTOR_BYTES says how long they are.

template <typename S>
struct Lanes {
  using Integer = std::conditional_t<sizeof(S) == 4, int32_t, int64_t>;
  typedef S Vector __attribute__((vector_size(PYDPST_VECTOR_BYTES)));
  typedef Integer Index __attribute__((vector_size(PYDPST_VECTOR_BYTES)));
  static constexpr int count = PYDPST_VECTOR_BYTES / sizeof(S);
};
template <typename S>
using Vector = typename Lanes<S>::Vector;

template <typename S>
PYDPST_INLINE Vector<S> load(const S* from) {
  Vector<S> value;
  __builtin_memcpy(&value, from, sizeof(value));
  return value;
}

template <typename S>
PYDPST_INLINE void store(S* to, Vector<S> value) {
  __builtin_memcpy(to, &value, sizeof(value));
}

// The first lanes only; the others are 0.
template <typename S>
PYDPST_INLINE Vector<S> load(const S* from, int64_t lanes) {
  if (lanes == Lanes<S>::count) return load(from);
  S values[Lanes<S>::count] = {};
  for (int64_t i = 0; i < lanes; ++i) values[i] = from[i];
  return load(values);
}

template <typename S>
PYDPST_INLINE void store(S* to, Vector<S> value, int64_t lanes) {
  if (lanes == Lanes<S>::count) return store(to, value);
  S values[Lanes<S>::count];
  store(values, value);
  for (int64_t i = 0; i < lanes; ++i) to[i] = values[i];
}

// An entry of a table for each lane. A table that Fits is as long as one vector.
template <bool Fits, typename S>
PYDPST_INLINE Vector<S> look_up(const S* table, typename Lanes<S>::Index index) {
#if PYDPST_X86
  if constexpr (Fits) return __builtin_shuffle(load(table), index);
#endif
  Vector<S> value;
  for (int lane = 0; lane < Lanes<S>::count; ++lane) value[lane] = table[index[lane]];
  return value;
}
