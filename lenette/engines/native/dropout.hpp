// Dropout's masks: 16-bit lanes of Philox4x64-10, the same bits as numpy.random.Philox(key=key).random_raw().
#pragma once

#include "stage.hpp"

namespace lenette {

// Salmon, Moraes, Dror and Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3" (2011), with their constants.
inline void philox(uint64_t counter, const uint64_t key[2], uint64_t word[4]) {
    __extension__ typedef unsigned __int128 Wide;
    uint64_t c0 = counter, c1 = 0, c2 = 0, c3 = 0, k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; ++round) {
        const Wide a = Wide(0xD2E7470EE14C6C93u) * c0, b = Wide(0xCA5A826395121157u) * c2;
        c0 = uint64_t(b >> 64) ^ c1 ^ k0;
        c2 = uint64_t(a >> 64) ^ c3 ^ k1;
        c1 = uint64_t(b), c3 = uint64_t(a);
        k0 += 0x9E3779B97F4A7C15u, k1 += 0xBB67AE8584CAA73Bu;
    }
    word[0] = c0, word[1] = c1, word[2] = c2, word[3] = c3;
}

class Dropout {
public:
    // layer: the number of this dropout layer; dropped: of 65,536 values of a lane, how many mean "drop".
    Dropout(int layer = 0, int dropped = 0) : layer(layer), dropped(dropped) {}

    void allocate(int blocks, size_t size_of_block) {
        size = size_of_block;
        kept.assign(blocks * size, Bits(~0));
        factor = dropped < 65536 ? Scalar(65536.0 / (65536 - dropped)) : Scalar(0);
    }

    // Element e of image n of the batch has lane n * size + e of the stream; numpy's first counter is 1.
    void draw(int block, const Batch& batch, const uint64_t (*keys)[2]) {
        typedef uint16_t Lanes __attribute__((vector_size(32)));
        typedef uint64_t Words __attribute__((vector_size(32)));
        Bits* bits = &kept[block * size];
        std::fill_n(bits, size, Bits(dropped < 65536 ? ~0 : 0));
        if (dropped == 0 || dropped >= 65536) return;
        const Lanes threshold = Lanes{} + uint16_t(dropped);
        const int images = std::min(kLanes, batch.images - block * kLanes);
        for (int lane = 0; lane < images; ++lane) {
            const uint64_t start = (uint64_t(block) * kLanes + lane) * size, end = start + size;
            for (uint64_t group = start / 16; group * 16 < end; ++group) {
                Lanes lanes;
                philox(group + 1, keys[layer], reinterpret_cast<uint64_t*>(&lanes));
                const Lanes below = Lanes(lanes < threshold);
                const Words any = Words(below);
                if (!(any[0] | any[1] | any[2] | any[3])) continue;
                for (int i = 0; i < 16; ++i) {
                    const uint64_t element = group * 16 + i;
                    if (below[i] && element >= start && element < end) bits[element - start] &= Bits(~(1 << lane));
                }
            }
        }
    }

    Vector apply(int block, size_t element, Vector v) const {
        return keep(expand(kept[block * size + element]), v * factor);
    }

private:
    int layer, dropped;
    size_t size = 0;
    Scalar factor = 1;
    std::vector<Bits> kept;  // [block][element], a bit for each image
};

}  // namespace lenette
