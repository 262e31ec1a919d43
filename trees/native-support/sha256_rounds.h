// No include guard: sha256_lanes.cc includes this once for each width of vectors, with LANES, TARGET and NAME
// defined, and `load`, which turns the lanes' blocks into 16 vectors of numbers, in NAME. Format and
// constants: FIPS 180-4, section 6.2.

namespace NAME {

TARGET static inline Vector rotate(Vector x, int by) {
  return x >> by | x << (32 - by);
}

// One round, with the word `index` of a group of 16.
TARGET __attribute__((always_inline)) static inline void take_word(Vector a, Vector b, Vector c, Vector &d,
                                                                   Vector e, Vector f, Vector g, Vector &h,
                                                                   Vector *words, size_t group,
                                                                   size_t index) {
  if (group > 0) {
    const Vector early = words[(index + 1) % 16], late = words[(index + 14) % 16];
    words[index] += words[(index + 9) % 16] + (rotate(early, 7) ^ rotate(early, 18) ^ early >> 3) +
                    (rotate(late, 17) ^ rotate(late, 19) ^ late >> 10);
  }
  h += (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + (g ^ (e & (f ^ g))) + ROUND_CONSTANTS[group + index] +
       words[index];
  d += h;
  h += (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) | (c & (a | b)));
}

// Takes `count` blocks of each lane. `state` has a row of LANES for each of the eight words.
TARGET static void compress(uint32_t *state, const uint8_t *const *starts, const size_t *strides,
                            size_t count) {
  const uint8_t *blocks[LANES];
  std::memcpy(blocks, starts, sizeof blocks);
  Vector sum[8];
  std::memcpy(sum, state, sizeof sum);
  for (; count > 0; count--) {
    Vector words[16];
    load(words, blocks);
    Vector a = sum[0], b = sum[1], c = sum[2], d = sum[3], e = sum[4], f = sum[5], g = sum[6], h = sum[7];
    // The names take turns instead of the values.
    for (size_t group = 0; group < 64; group += 16) {
      take_word(a, b, c, d, e, f, g, h, words, group, 0);
      take_word(h, a, b, c, d, e, f, g, words, group, 1);
      take_word(g, h, a, b, c, d, e, f, words, group, 2);
      take_word(f, g, h, a, b, c, d, e, words, group, 3);
      take_word(e, f, g, h, a, b, c, d, words, group, 4);
      take_word(d, e, f, g, h, a, b, c, words, group, 5);
      take_word(c, d, e, f, g, h, a, b, words, group, 6);
      take_word(b, c, d, e, f, g, h, a, words, group, 7);
      take_word(a, b, c, d, e, f, g, h, words, group, 8);
      take_word(h, a, b, c, d, e, f, g, words, group, 9);
      take_word(g, h, a, b, c, d, e, f, words, group, 10);
      take_word(f, g, h, a, b, c, d, e, words, group, 11);
      take_word(e, f, g, h, a, b, c, d, words, group, 12);
      take_word(d, e, f, g, h, a, b, c, words, group, 13);
      take_word(c, d, e, f, g, h, a, b, words, group, 14);
      take_word(b, c, d, e, f, g, h, a, words, group, 15);
    }
    sum[0] += a, sum[1] += b, sum[2] += c, sum[3] += d, sum[4] += e, sum[5] += f, sum[6] += g, sum[7] += h;
    for (size_t lane = 0; lane < LANES; lane++)
      blocks[lane] += strides[lane];
  }
  std::memcpy(state, sum, sizeof sum);
}

} // namespace NAME
