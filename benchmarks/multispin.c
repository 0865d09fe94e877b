/* Multi-spin coded Metropolis of the square-lattice Ising model: 32 replicas in a word.

   The algorithm of physdl.sampling.PackedIsing written by hand for one lattice and one core, as the
   bound to compare with. Compile with: gcc -O3 -march=native -shared -fPIC multispin.c */

#include <stdint.h>
#include <string.h>

#define BITS 24

static inline uint32_t rotated(uint32_t x, int r) { return (x << r) | (x >> (32 - r)); }

static inline uint32_t mixed(uint32_t x)
{
  x = (x ^ (x >> 16)) * 0x7feb352du;
  x = (x ^ (x >> 15)) * 0x846ca68bu;
  return x ^ (x >> 16);
}

/* One colour; site (r, i) of an array is column 2 i + (r + colour) % 2 of row r. The bits of flags
   invert the bonds up, down, in place and aside; sign inverts all where flags is not used. */
static inline __attribute__((always_inline)) void
update(int length, int colour, uint32_t *restrict own, const uint32_t *restrict other,
       const uint32_t steps[2][BITS], const uint32_t last[2], const uint8_t *restrict flags,
       uint32_t sign, const uint32_t seed[4], int glass)
{
  int half = length / 2;
  uint32_t side[half];
  for (int r = 0; r < length; r++) {
    const uint32_t *up = other + (r + length - 1) % length * half;
    const uint32_t *down = other + (r + 1) % length * half;
    const uint32_t *here = other + r * half;
    const uint8_t *f = flags + r * half;
    uint32_t *x = own + r * half;
    if ((r + colour) % 2) {
      memcpy(side, here + 1, 4 * (half - 1));
      side[half - 1] = here[0];
    } else {
      memcpy(side + 1, here, 4 * (half - 1));
      side[0] = here[half - 1];
    }
    for (int i = 0; i < half; i++) {
      uint32_t s = x[i], t = glass ? s : s ^ sign;
      uint32_t a = t ^ up[i], b = t ^ down[i], c = t ^ here[i], d = t ^ side[i];
      if (glass) {
        uint32_t g = f[i];
        a ^= (uint32_t)((int32_t)(g << 31) >> 31);
        b ^= (uint32_t)((int32_t)(g << 30) >> 31);
        c ^= (uint32_t)((int32_t)(g << 29) >> 31);
        d ^= (uint32_t)((int32_t)(g << 28) >> 31);
      }
      uint32_t any_ab = a | b, both_ab = a & b, any_cd = c | d, both_cd = c & d;
      uint32_t one = any_ab | any_cd, two = both_ab | both_cd | (any_ab & any_cd);
      uint32_t p = (uint32_t)(r * half + i) * 0x9e3779b9u;
      uint32_t w0 = mixed(p ^ seed[0]), w1 = mixed(p ^ seed[1]);
      uint32_t w2 = mixed(p ^ seed[2]), w3 = mixed(p ^ seed[3]);
      uint32_t r0 = 0, r1 = 0;
#pragma GCC unroll 64
      for (int j = 0; j < BITS; j++) {
        uint32_t next = rotated(w0, 3) ^ rotated(w1, 23) ^ rotated(w2, 6);
        r0 = (r0 ^ steps[0][j]) & w0;
        r1 = (r1 ^ steps[1][j]) & w0;
        w0 = w1, w1 = w2, w2 = w3, w3 = next;
      }
      x[i] = s ^ (two | (one & ~two & (r1 ^ last[1])) | (~one & (r0 ^ last[0])));
    }
  }
}

static uint32_t drawn(uint64_t *state)
{
  uint64_t z = (*state += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return (uint32_t)((z ^ (z >> 31)) >> 32);
}

/* n sweeps over the two colours. threshold: 2^BITS exp(-8 K), 2^BITS exp(-4 K). flags: NULL, or
   bytes of each colour. */
void sweeps(int length, int n, uint32_t *even, uint32_t *odd, const uint32_t threshold[2],
            const uint8_t *even_flags, const uint8_t *odd_flags, uint32_t sign, uint64_t *state)
{
  uint32_t steps[2][BITS], last[2], *parts[2] = {even, odd};
  const uint8_t *flags[2] = {even_flags, odd_flags};
  for (int c = 0; c < 2; c++) {
    last[c] = 0;
    for (int j = 0; j < BITS; j++) {
      uint32_t digit = -(threshold[c] >> j & 1);
      steps[c][j] = digit ^ last[c];
      last[c] = digit;
    }
  }
  for (int k = 0; k < 2 * n; k++) {
    uint32_t seed[4];
    int c = k % 2;
    for (int j = 0; j < 4; j++)
      seed[j] = drawn(state);
    if (flags[c])
      update(length, c, parts[c], parts[1 - c], steps, last, flags[c], sign, seed, 1);
    else
      update(length, c, parts[c], parts[1 - c], steps, last, flags[c], sign, seed, 0);
  }
}
