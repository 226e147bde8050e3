// Dropout's masks: 16-bit lanes of Philox4x64-10, the same bits as numpy.random.Philox(key=key).random_raw().
#pragma once

#include <algorithm>

#include "stage.hpp"

namespace lenette {

typedef uint64_t Words __attribute__((vector_size(64)));  // of eight counters at a time
typedef uint16_t Lanes __attribute__((vector_size(64)));

inline void multiply(uint64_t a, Words b, Words& high, Words& low) {
    const uint64_t half = 0xFFFFFFFFu;
    const Words b0 = b & half, b1 = b >> 32;
    const Words p00 = b0 * (a & half), p01 = b1 * (a & half), p10 = b0 * (a >> 32), p11 = b1 * (a >> 32);
    const Words middle = p10 + (p00 >> 32), rest = p01 + (middle & half);
    high = p11 + (middle >> 32) + (rest >> 32);
    low = (rest << 32) | (p00 & half);
}

// For counters first, first + 1, ..., a word of 16 bits each: bit i is set where lane i is below the threshold.
// Salmon, Moraes, Dror and Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3" (2011), with their constants.
inline void philox_below(uint64_t first, size_t counters, const uint64_t key[2], uint16_t threshold, uint16_t* to) {
    for (size_t i = 0; i < counters; i += 8) {
        Words c0 = Words{0, 1, 2, 3, 4, 5, 6, 7} + (first + i), c1{}, c2{}, c3{};
        uint64_t k0 = key[0], k1 = key[1];
#pragma GCC unroll 10
        for (int round = 0; round < 10; ++round) {
            Words a_high, a_low, b_high, b_low;
            multiply(0xD2E7470EE14C6C93u, c0, a_high, a_low);
            multiply(0xCA5A826395121157u, c2, b_high, b_low);
            c0 = b_high ^ c1 ^ k0, c1 = b_low;
            c2 = a_high ^ c3 ^ k1, c3 = a_low;
            k0 += 0x9E3779B97F4A7C15u, k1 += 0xBB67AE8584CAA73Bu;
        }
        const uint64_t bit_of_lane = 0x0008000400020001u;
        const auto below = [&](Words c, int shift) {
            return Words(Lanes(c) < Lanes{} + threshold) & (bit_of_lane << shift);
        };
        Words bits = below(c0, 0) | below(c1, 4) | below(c2, 8) | below(c3, 12);
        bits |= bits >> 32;
        bits |= bits >> 16;
        for (int k = 0; k < 8; ++k) to[i + k] = uint16_t(bits[k]);
    }
}

typedef uint16_t BitRows __attribute__((vector_size(32)));  // 16 rows of 16 bits

// Make rows columns: swap the off-diagonal blocks of 8x8, then of 4x4, 2x2 and 1x1.
template <int SIZE, size_t... ROW>
inline BitRows swap_blocks(BitRows rows, std::index_sequence<ROW...>) {
    constexpr uint16_t low = SIZE == 8 ? 0x00FF : SIZE == 4 ? 0x0F0F : SIZE == 2 ? 0x3333 : 0x5555, high = 0xFFFF - low;
    const BitRows upper = {((ROW & SIZE) ? uint16_t(0) : uint16_t(~0))...};
    const BitRows other = __builtin_shufflevector(rows, rows, (ROW ^ SIZE)...);
    return (upper & ((rows & low) | ((other & low) << SIZE))) | (~upper & ((rows & high) | ((other >> SIZE) & low)));
}

inline BitRows transpose(BitRows rows) {
    const auto all = std::make_index_sequence<16>();
    return swap_blocks<1>(swap_blocks<2>(swap_blocks<4>(swap_blocks<8>(rows, all), all), all), all);
}

class Dropout {
public:
    // layer: the number of this dropout layer; dropped: of 65,536 values of a lane, how many mean "drop".
    Dropout(int layer = 0, int dropped = 0) : layer(layer), dropped(dropped) {}

    void allocate(int blocks, size_t size_of_image, ScratchSize& scratch) {
        size = size_of_image;
        room = (size + 15) / 16 * 16;
        kept.assign(blocks * room, Bits(~0));
        scratch.drops = std::max(scratch.drops, num_drops(kLanes * size / 16 + 2));
        factor = dropped < 65536 ? float(65536.0 / (65536 - dropped)) : 0.0f;  // float32 as in the plan
    }

    // Element e of image n of the batch has lane n * size + e of the stream.
    void draw(int block, const uint64_t (*keys)[2], std::vector<uint16_t>& drops) {
        Bits* bits = &kept[block * room];
        if (dropped == 0 || dropped >= 65536) {
            std::fill_n(bits, room, Bits(dropped ? 0 : ~0));
            return;
        }
        // First the dropped elements as one row of bits, then 16 elements of 16 images at a time turned over.
        const uint64_t start = uint64_t(block) * kLanes * size, counters = (start % 16 + kLanes * size) / 16 + 1;
        philox_below(start / 16 + 1, counters, keys[layer], uint16_t(dropped), drops.data());  // NumPy's first is 1
        for (size_t group = 0; group < room / 16; ++group) {
            BitRows rows{};
            for (int lane = 0; lane < kLanes; ++lane) {
                const size_t bit = start % 16 + lane * size + group * 16;
                uint32_t pair;
                std::memcpy(&pair, &drops[bit / 16], sizeof pair);
                rows[lane] = uint16_t(pair >> bit % 16);
            }
            rows = ~transpose(rows);
            std::memcpy(bits + group * 16, &rows, sizeof rows);
        }
    }

    Vector apply(int block, size_t element, Vector v) const {
        return keep(expand(kept[block * room + element]), v * factor);
    }

private:
    // Whole eights of counters are drawn, and the last image is read as if it had `room` elements.
    size_t num_drops(size_t counters) const { return (counters + 7) / 8 * 8 + room / 16 + 1; }

    int layer, dropped;
    size_t size = 0, room = 0;  // elements of an image, and the same rounded up
    Scalar factor = 1;
    std::vector<Bits> kept;  // [block][element], a bit for each image
};

}  // namespace lenette
