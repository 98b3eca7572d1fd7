/* Loops of graph attention over edges, all heads at once; see attention_loops.py.

   Compiled for the machine they run on, once for float and once for double: this file includes
   itself. A vector has one number of each of some heads, a pack, of which the last is filled up with
   zeros. A row of features has the channels of one pack after those of another. The order of a sum
   depends on nothing but its length. */

#ifndef T

#include <stdint.h>

#define BYTES 32  /* of a vector: eight heads of float, which longer ones would fill up with zeros */
#define VECTORS 8 /* channels at a time, whose sums stay in registers */
#define EDGES 64  /* of a row at a time: what they have for all heads is kept for a while */
#define AHEAD 8   /* edges: how far the rows to come are asked of memory beforehand */
#define LINE 64   /* bytes of memory that come together */
#define INLINE static inline __attribute__((always_inline))

/* What a node has for each head: its score; two factors of weights, for scores of edges above zero and
   for others; at targets in the backward pass, a mean. */
enum part { SCORE, ABOVE, BELOW, MEAN, PARTS };

/* What the backward pass sums for each head of a node: with w the weights of edges, d the gradients of
   these less the mean, l the slopes of the scores: w d, l w d and l w. */
enum sum { ALL, SLOPED, SLOPES, SUMS };

#define T float
#define BITS int32_t
#define NAMED(name) name##_float
#include "attention_loops.c"
#undef T
#undef BITS
#undef NAMED

#define T double
#define BITS int64_t
#define NAMED(name) name##_double
#include "attention_loops.c"

#else

#define LANES ((int64_t)(BYTES / sizeof(T)))
#define VECTOR NAMED(vector)
#define MASK NAMED(mask)

typedef T VECTOR __attribute__((vector_size(BYTES)));
typedef BITS MASK __attribute__((vector_size(BYTES)));
typedef T NAMED(stored) __attribute__((vector_size(BYTES), aligned(sizeof(T)), may_alias));

INLINE VECTOR NAMED(load)(const T *from) { return *(const NAMED(stored) *)from; }
INLINE void NAMED(store)(T *to, VECTOR vector) { *(NAMED(stored) *)to = vector; }
INLINE void NAMED(add)(T *to, VECTOR vector) { NAMED(store)(to, NAMED(load)(to) + vector); }

INLINE VECTOR NAMED(either)(MASK which, VECTOR a, VECTOR b) {
  return (VECTOR)(((MASK)a & which) | ((MASK)b & ~which));
}

/* Some edges of a row, the edge up to which there are others, and the sizes of a row of features. */
struct NAMED(edges) {
  const int64_t *columns;
  int64_t first, end, last, heads, channels;
};

/* Asks memory for some numbers of a node that comes soon. */
INLINE void NAMED(ask)(struct NAMED(edges) edges, int64_t edge, const T *x, int64_t width,
                       int64_t numbers) {
  const T *next = x + edges.columns[edge + AHEAD < edges.last ? edge + AHEAD : edge] * width;
  for (int64_t n = 0; n < numbers; n += LINE / sizeof(T)) __builtin_prefetch(next + n);
}

/* sums += weights of the edges times rows of x, of one pack and some channels. */
INLINE void NAMED(add_channels)(struct NAMED(edges) edges, const T *x, const T *weights,
                                int64_t number, T *sums) {
  int64_t width = edges.heads * edges.channels;
  VECTOR sum[VECTORS];
  for (int64_t c = 0; c < number; c++) sum[c] = NAMED(load)(sums + c * LANES);
  for (int64_t e = edges.first; e < edges.end; e++, weights += edges.heads) {
    NAMED(ask)(edges, e, x, width, number * LANES);
    const T *other = x + edges.columns[e] * width;
    VECTOR weight = NAMED(load)(weights);
    for (int64_t c = 0; c < number; c++) sum[c] += weight * NAMED(load)(other + c * LANES);
  }
  for (int64_t c = 0; c < number; c++) NAMED(store)(sums + c * LANES, sum[c]);
}

INLINE void NAMED(add_rows)(struct NAMED(edges) edges, const T *x, const T *weights, T *sums) {
  for (int64_t at = 0; at < edges.heads * edges.channels; weights += LANES) {
    int64_t c = 0;
    for (; c + VECTORS <= edges.channels; c += VECTORS, at += VECTORS * LANES)
      NAMED(add_channels)(edges, x + at, weights, VECTORS, sums + at);
    for (; c < edges.channels; c++, at += LANES)
      NAMED(add_channels)(edges, x + at, weights, 1, sums + at);
  }
}

/* dots += products of a row with those of x at the edges, of one pack and some channels. */
INLINE void NAMED(dot_channels)(struct NAMED(edges) edges, const T *own, const T *x,
                                int64_t number, T *dots) {
  int64_t width = edges.heads * edges.channels;
  VECTOR end[VECTORS];
  for (int64_t c = 0; c < number; c++) end[c] = NAMED(load)(own + c * LANES);
  for (int64_t e = edges.first; e < edges.end; e++, dots += edges.heads) {
    NAMED(ask)(edges, e, x, width, number * LANES);
    const T *other = x + edges.columns[e] * width;
    VECTOR sum = {0};
    for (int64_t c = 0; c < number; c++) sum += end[c] * NAMED(load)(other + c * LANES);
    NAMED(add)(dots, sum);
  }
}

INLINE void NAMED(dot_rows)(struct NAMED(edges) edges, const T *own, const T *x, T *dots) {
  for (int64_t d = 0; d < (edges.end - edges.first) * edges.heads; d++) dots[d] = 0;
  for (int64_t at = 0; at < edges.heads * edges.channels; dots += LANES) {
    int64_t c = 0;
    for (; c + VECTORS <= edges.channels; c += VECTORS, at += VECTORS * LANES)
      NAMED(dot_channels)(edges, own + at, x + at, VECTORS, dots);
    for (; c < edges.channels; c++, at += LANES)
      NAMED(dot_channels)(edges, own + at, x + at, 1, dots);
  }
}

/* values *= what the mask [E, heads] has for the edges, whose number in it is in `order`, if given. */
INLINE void NAMED(drop)(struct NAMED(edges) edges, const T *mask, const int64_t *order,
                        int64_t heads, T *values) {
  for (int64_t e = edges.first; mask && e < edges.end; e++, values += edges.heads) {
    const T *factors = mask + (order ? order[e] : e) * heads;
    for (int64_t head = 0; head < heads; head++) values[head] *= factors[head];
  }
}

/* What the node at one end of an edge has for some heads. */
INLINE VECTOR NAMED(part)(struct NAMED(edges) edges, const T *node, enum part part) {
  return NAMED(load)(node + part * edges.heads);
}

/* The weight of an edge: the factors of its ends for the sign of its score, a mask of which is
   returned. From the sign bit, as a comparison goes lane by lane where vectors are short. */
INLINE MASK NAMED(weigh)(struct NAMED(edges) edges, int64_t edge, const T *row, const T *ends,
                         VECTOR *weight) {
  const T *column = ends + edges.columns[edge] * PARTS * edges.heads;
  for (int64_t part = 0; part < PARTS; part++)
    NAMED(ask)(edges, edge, ends + part * edges.heads, PARTS * edges.heads, LANES);
  VECTOR score = NAMED(part)(edges, row, SCORE) + NAMED(part)(edges, column, SCORE);
  MASK above = (MASK)((VECTOR){0} - score) >> (8 * sizeof(T) - 1);
  *weight = NAMED(either)(above, NAMED(part)(edges, row, ABOVE) * NAMED(part)(edges, column, ABOVE),
                          NAMED(part)(edges, row, BELOW) * NAMED(part)(edges, column, BELOW));
  return above;
}

#define ROUND_UP(heads) (((heads) + LANES - 1) / LANES * LANES)

/* For each target: the total of its weights, and the sum of weights times mask and features of the
   sources, over that total. The rows from r on have the edges from first up to last. */
void NAMED(attend)(const T *x, const T *sources, const T *targets, const T *mask,
                   const int64_t *pointer, const int64_t *columns, int64_t heads, int64_t channels,
                   int64_t r, int64_t first, int64_t last, T *weights, T *totals, T *result) {
  int64_t packed = ROUND_UP(heads);
  for (; first < last; r++) {
    T *total = totals + r * packed, *sums = result + r * packed * channels;
    for (int64_t end = pointer[r + 1], until; first < end; first = until) {
      until = first + EDGES < end ? first + EDGES : end;
      struct NAMED(edges) edges = {columns, first, until, last, packed, channels};
      for (int64_t head = 0; head < packed; head += LANES) {
        const T *row = targets + r * PARTS * packed + head;
        VECTOR sum = {0}, weight;
        for (int64_t e = first; e < until; e++) {
          NAMED(weigh)(edges, e, row, sources + head, &weight);
          NAMED(store)(weights + (e - first) * packed + head, weight);
          sum += weight;
        }
        NAMED(add)(total + head, sum);
      }
      NAMED(drop)(edges, mask, 0, heads, weights);
      NAMED(add_rows)(edges, x, weights, sums);
    }
    /* The weights of a row have one total: it is divided by for each node, not for each edge. */
    for (int64_t head = 0; pointer[r] < pointer[r + 1] && head < packed; head += LANES)
      for (int64_t c = 0; c < channels; c++, sums += LANES)
        NAMED(store)(sums, NAMED(load)(sums) / NAMED(load)(total + head));
  }
}

/* Its backward pass, for each row at one end of the edges: the gradient of a weight is the product of
   a row of `own` with that of x at the other end. Unless there is no place for it, result += weights
   times x. */
void NAMED(attend_back)(const T *own, const T *x, const T *rows, const T *ends, const T *mask,
                        const int64_t *order, const int64_t *pointer, const int64_t *columns,
                        int64_t heads, int64_t channels, int64_t r, int64_t first, int64_t last,
                        double below, T *weights, T *dots, T *sums, T *result) {
  int64_t packed = ROUND_UP(heads);
  for (; first < last; r++)
    for (int64_t end = pointer[r + 1], until; first < end; first = until) {
      until = first + EDGES < end ? first + EDGES : end;
      struct NAMED(edges) edges = {columns, first, until, last, packed, channels};
      NAMED(dot_rows)(edges, own + r * packed * channels, x, dots);
      NAMED(drop)(edges, mask, order, heads, dots);
      for (int64_t head = 0; head < packed; head += LANES) {
        const T *row = rows + r * PARTS * packed + head;
        T *sum = sums + r * SUMS * packed + head;
        VECTOR all = {0}, sloped = {0}, slopes = {0}, weight;
        for (int64_t e = first; e < until; e++) {
          const T *column = ends + columns[e] * PARTS * packed + head;
          int64_t place = (e - first) * packed + head;
          MASK above = NAMED(weigh)(edges, e, row, ends + head, &weight);
          VECTOR mean = NAMED(part)(edges, row, MEAN) + NAMED(part)(edges, column, MEAN);
          VECTOR part = weight * (NAMED(load)(dots + place) - mean);
          NAMED(store)(weights + place, weight);
          all += part;
          sloped += NAMED(either)(above, part, part * (T)below);
          slopes += NAMED(either)(above, weight, weight * (T)below);
        }
        NAMED(add)(sum + ALL * packed, all);
        NAMED(add)(sum + SLOPED * packed, sloped);
        NAMED(add)(sum + SLOPES * packed, slopes);
      }
      if (!result) continue;
      NAMED(drop)(edges, mask, order, heads, weights);
      NAMED(add_rows)(edges, x, weights, result + r * packed * channels);
    }
}

#undef ROUND_UP
#undef LANES
#undef VECTOR
#undef MASK

#endif
