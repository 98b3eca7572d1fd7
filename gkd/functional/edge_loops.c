/* Loops over edges, in place of several passes over memory; see edge_loops.py.

   Compiled for the machine they run on, once for float and once for double: this file includes
   itself. Rows have `width` numbers, at least a vector of them. They are taken some vectors at a
   time, so that what a row has there stays in registers while all its columns are gone through. The
   order of a sum depends on nothing but its length. */

#ifndef T

#include <stdint.h>

#define BYTES 64  /* of a vector; a processor with shorter ones takes several for it */
#define VECTORS 4 /* at a time */
#define AHEAD 8   /* edges: how far the rows to come are asked of memory beforehand */
#define INLINE static inline __attribute__((always_inline))

enum comparison { L1, L2, DOT };

#define T float
#define BITS int32_t
#define NAMED(name) name##_float
#include "edge_loops.c"
#undef T
#undef BITS
#undef NAMED

#define T double
#define BITS int64_t
#define NAMED(name) name##_double
#include "edge_loops.c"

#else

#define LANES ((int64_t)(BYTES / sizeof(T)))
#define VECTOR NAMED(vector)
#define MASK NAMED(mask)

typedef T VECTOR __attribute__((vector_size(BYTES)));
typedef T NAMED(half) __attribute__((vector_size(BYTES / 2)));
typedef T NAMED(quarter) __attribute__((vector_size(BYTES / 4)));
typedef BITS MASK __attribute__((vector_size(BYTES)));
typedef T NAMED(stored) __attribute__((vector_size(BYTES), aligned(sizeof(T)), may_alias));

INLINE VECTOR NAMED(load)(const T *from) { return *(const NAMED(stored) *)from; }

INLINE T NAMED(total)(VECTOR vector) {
  union { VECTOR whole; NAMED(half) parts[2]; } all = {vector};
  union { NAMED(half) whole; NAMED(quarter) parts[2]; } halves = {all.parts[0] + all.parts[1]};
  NAMED(quarter) last = halves.parts[0] + halves.parts[1];
  T sum = last[0];
  for (int64_t lane = 1; lane < LANES / 4; lane++) sum += last[lane];
  return sum;
}

/* What a comparison of two ends is the sum of. */
INLINE VECTOR NAMED(term)(enum comparison by, VECTOR a, VECTOR b) {
  VECTOR apart = a - b;
  MASK sign = (MASK)(-(VECTOR){0});
  if (by == DOT) return a * b;
  return by == L2 ? apart * apart : (VECTOR)((MASK)apart & ~sign);
}

/* Its slope in one of two ends that are so far apart, times a value. */
INLINE VECTOR NAMED(slope)(enum comparison by, T value, VECTOR apart) {
  MASK values = (MASK)((VECTOR){0} + value);
  if (by == L2) return (value + value) * apart;
  return (VECTOR)(values & (apart > 0)) - (VECTOR)(values & (apart < 0));
}

/* Keeps the lanes of the last vector of a row that no vector before it has. It begins early, so that
   it ends with the row. */
INLINE MASK NAMED(kept)(int64_t width) {
  MASK kept;
  for (int64_t lane = 0; lane < LANES; lane++) kept[lane] = -(lane >= LANES - width % LANES);
  return kept;
}

/* The edges of one row, and the edge up to which there are others. */
struct NAMED(row) {
  const int64_t *columns;
  int64_t first, end, last, width;
};

INLINE void NAMED(prefetch)(struct NAMED(row) row, int64_t edge, const T *x, int64_t vectors) {
  const T *next = x + row.columns[edge + AHEAD < row.last ? edge + AHEAD : edge] * row.width;
  for (int64_t v = 0; v < vectors; v++) __builtin_prefetch(next + v * LANES);
}

/* result[e] += comparison of some vectors of a row with those of its columns. */
INLINE void NAMED(compare_row)(enum comparison by, struct NAMED(row) row, const T *a, const T *b,
                               int64_t vectors, T *restrict result) {
  for (int64_t e = row.first; e < row.end; e++) {
    NAMED(prefetch)(row, e, b, vectors);
    const T *other = b + row.columns[e] * row.width;
    VECTOR sum = {0};
    for (int64_t v = 0; v < vectors; v++)
      sum += NAMED(term)(by, NAMED(load)(a + v * LANES), NAMED(load)(other + v * LANES));
    result[e] += NAMED(total)(sum);
  }
}

INLINE void NAMED(compare_last)(enum comparison by, struct NAMED(row) row, const T *a, const T *b,
                                T *restrict result) {
  MASK kept = NAMED(kept)(row.width);
  VECTOR own = NAMED(load)(a + row.width - LANES);
  for (int64_t e = row.first; e < row.end; e++) {
    NAMED(prefetch)(row, e, b + row.width - LANES, 1);
    VECTOR other = NAMED(load)(b + row.columns[e] * row.width + row.width - LANES);
    result[e] += NAMED(total)((VECTOR)((MASK)NAMED(term)(by, own, other) & kept));
  }
}

/* result[e] += comparison of a[r] and b[columns[e]], for the edges from first up to last, of which
   the first belongs to row r. */
INLINE void NAMED(compare)(enum comparison by, const T *a, const T *b, const int64_t *pointer,
                           const int64_t *columns, int64_t r, int64_t first, int64_t last,
                           int64_t width, T *result) {
  for (; first < last; first = pointer[r++ + 1]) {
    int64_t end = pointer[r + 1] < last ? pointer[r + 1] : last, c = 0;
    struct NAMED(row) row = {columns, first, end, last, width};
    const T *own = a + r * width;
    for (; c + VECTORS * LANES <= width; c += VECTORS * LANES)
      NAMED(compare_row)(by, row, own + c, b + c, VECTORS, result);
    if (c + LANES <= width)
      NAMED(compare_row)(by, row, own + c, b + c, (width - c) / LANES, result);
    if (width % LANES) NAMED(compare_last)(by, row, own, b, result);
  }
}

/* result += slopes of some vectors of a row. */
INLINE void NAMED(slopes_of_row)(enum comparison by, struct NAMED(row) row, const T *own,
                                 const T *x, const T *values, int64_t vectors, T *result) {
  VECTOR ends[VECTORS], sums[VECTORS];
  for (int64_t v = 0; v < vectors; v++) {
    ends[v] = NAMED(load)(own + v * LANES);
    sums[v] = NAMED(load)(result + v * LANES);
  }
  for (int64_t e = row.first; e < row.end; e++) {
    NAMED(prefetch)(row, e, x, vectors);
    const T *other = x + row.columns[e] * row.width;
    for (int64_t v = 0; v < vectors; v++)
      sums[v] += NAMED(slope)(by, values[e], ends[v] - NAMED(load)(other + v * LANES));
  }
  for (int64_t v = 0; v < vectors; v++) *(NAMED(stored) *)(result + v * LANES) = sums[v];
}

INLINE void NAMED(slopes_of_last)(enum comparison by, struct NAMED(row) row, const T *own,
                                  const T *x, const T *values, T *result) {
  int64_t begin = row.width - LANES;
  MASK kept = NAMED(kept)(row.width);
  VECTOR end = NAMED(load)(own + begin), sum = {0};
  for (int64_t e = row.first; e < row.end; e++) {
    NAMED(prefetch)(row, e, x + begin, 1);
    VECTOR other = NAMED(load)(x + row.columns[e] * row.width + begin);
    sum += NAMED(slope)(by, values[e], end - other);
  }
  *(NAMED(stored) *)(result + begin) =
      NAMED(load)(result + begin) + (VECTOR)((MASK)sum & kept);
}

/* result[r] += sum of values[e] times the slope in x[r] of its comparison with x[columns[e]], for
   the rows from r on that have the edges from first up to last. */
INLINE void NAMED(slopes)(enum comparison by, const T *x, const int64_t *pointer,
                          const int64_t *columns, const T *values, int64_t r, int64_t first,
                          int64_t last, int64_t width, T *result) {
  for (; first < last; first = pointer[r++ + 1]) {
    struct NAMED(row) row = {columns, first, pointer[r + 1], last, width};
    const T *own = x + r * width;
    T *out = result + r * width;
    int64_t c = 0;
    for (; c + VECTORS * LANES <= width; c += VECTORS * LANES)
      NAMED(slopes_of_row)(by, row, own + c, x + c, values, VECTORS, out + c);
    if (c + LANES <= width)
      NAMED(slopes_of_row)(by, row, own + c, x + c, values, (width - c) / LANES, out + c);
    if (width % LANES) NAMED(slopes_of_last)(by, row, own, x, values, out);
  }
}

/* One function for each comparison, so that none is chosen within a loop. */
#define EXPORT(name, by)                                                                         \
  void NAMED(compare_##name)(const T *a, const T *b, const int64_t *pointer,                     \
                             const int64_t *columns, int64_t r, int64_t first, int64_t last,     \
                             int64_t width, T *result) {                                         \
    NAMED(compare)(by, a, b, pointer, columns, r, first, last, width, result);                   \
  }
EXPORT(l1, L1)
EXPORT(l2, L2)
EXPORT(dot, DOT)
#undef EXPORT
#define EXPORT(name, by)                                                                         \
  void NAMED(slopes_##name)(const T *x, const int64_t *pointer, const int64_t *columns,          \
                            const T *values, int64_t r, int64_t first, int64_t last,             \
                            int64_t width, T *result) {                                          \
    NAMED(slopes)(by, x, pointer, columns, values, r, first, last, width, result);               \
  }
EXPORT(l1, L1)
EXPORT(l2, L2)
#undef EXPORT

#undef LANES
#undef VECTOR
#undef MASK

#endif
