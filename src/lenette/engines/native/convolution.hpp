// Convolution: rows of the input come in as they are needed, rows of the output go out while they are in the cache.
#pragma once

#include "stage.hpp"
#include "tiles.hpp"

namespace lenette {

template <int CI, int H, int W, int CO, int KH, int KW, int TH, int TW, int PH, int PW, int RH, int RW, int GROUPS,
          bool BIAS>
class Convolution : public Operation {
    // Strides are TH and TW. What a kernel spans: its taps are RH rows and RW columns apart.
    static constexpr int SH = (KH - 1) * RH + 1, SW = (KW - 1) * RW + 1;
    static constexpr int OH = (H + 2 * PH - SH) / TH + 1, OW = (W + 2 * PW - SW) / TW + 1;
    static constexpr bool kStrided = TH > 1 || TW > 1;
    static constexpr int kTaps = KH * KW;
    static constexpr int GI = CI / GROUPS, GO = CO / GROUPS;  // channels of a group
    // The padded input; and the output's gradient, spread by the stride and padded, so that the input's gradient is
    // a plain convolution of it with the flipped kernels.
    static constexpr int XH = H + 2 * PH, XW = W + 2 * PW, DH = H + SH - 1, DW = W + SW - 1;
    static constexpr int kXRow = CI * XW, kDRow = CO * DW;
    static constexpr int kTop = SH - 1 - PH, kLeft = SW - 1 - PW;
    static_assert(kTop >= 0 && kLeft >= 0);
    static constexpr int kWeightChannelTile = at_least_one(at_most(4, kAccumulators / KW));
    static constexpr int kForwardChannels = tile_channels(GO), kBackwardChannels = tile_channels(GI);
    static constexpr int kWeightRows = at_least_one(kAccumulators / (at_most(GO, kWeightChannelTile) * KW));
    // Lines of pixels whose input and gradient stay in the first caches while all weights pass over them.
    static constexpr int kLines = at_most(OH, at_least_one(96 / OW));

public:
    Convolution(Place weight, Place bias) : weight(weight), bias(bias) {}

    void allocate(int, ScratchSize& size) override {
        size.input = std::max(size.input, size_t(CI) * XH * XW);
        size.gradient = std::max(size.gradient, size_t(CO) * DH * DW);
        size.row = std::max(size.row, size_t(CI) * W);
        forward_weights.resize(size_t(CO) * GI * kTaps);
        backward_weights.resize(size_t(CO) * GI * kTaps);
    }

    // Lay the weights out in the order in which the tiles read them.
    void pack(int part, int parts) override {
        const Scalar* w = memory->parameters + weight.value;
        for (int group = 0; group < GROUPS; ++group) {
            for_tiles<GO, kForwardChannels>([&](auto tile, int start) {
                if ((group + start / kForwardChannels) % parts != part) return;
                const int out = group * GO + start;
                Scalar* to = &forward_weights[size_t(out) * GI * kTaps];
                for (int ci = 0; ci < GI; ++ci)
                    for (int tap = 0; tap < kTaps; ++tap)
                        for (int co = 0; co < tile; ++co) *to++ = w[((out + co) * GI + ci) * kTaps + tap];
            });
            if (first) continue;
            for_tiles<GI, kBackwardChannels>([&](auto tile, int start) {
                if ((group + start / kBackwardChannels) % parts != part) return;
                Scalar* to = &backward_weights[size_t(group * GI + start) * GO * kTaps];
                for (int co = 0; co < GO; ++co)
                    for (int tap = 0; tap < kTaps; ++tap)
                        for (int ci = 0; ci < tile; ++ci)
                            *to++ = w[((group * GO + co) * GI + start + ci) * kTaps + kTaps - 1 - tap];
            });
        }
    }

    void forward(Scratch& scratch) override {
        Vector* x = scratch.input.get();
        Vector* y = tail->output(scratch.block);
        int rows_read = 0;
        for (int h = 0; h < OH; ++h) {
            read_padded<CI, H, W, PH, PW, XW>(scratch, rows_read, h * TH + SH);
            convolve<GI, GO, kForwardChannels, OW, TW>(x + h * TH * kXRow, XW, forward_weights.data(),
                                                           BIAS ? memory->parameters + bias.value : nullptr, y + h * CO * OW);
            tail->observe_row(scratch.block, h);
        }
    }

    void backward(Scratch& scratch) override {
        Scalar* gradients = memory->gradients + scratch.chunk * memory->num_gradients;
        if (scratch.first_of_chunk) {
            std::fill_n(gradients + weight.gradient, size_t(CO) * GI * kTaps, Scalar(0));
            if (BIAS) std::fill_n(gradients + bias.gradient, CO, Scalar(0));
        }
        Vector* d = scratch.gradient.get();
        if (kStrided)
            std::fill_n(d, CO * DH * DW, Vector{});
        else if (!first)
            clear_margins(d);
        int rows_read = 0, rows_written = 0;
        for (int h = 0; h < OH; h += kLines) {
            const int lines = at_most(kLines, OH - h);
            for (int i = h; i < h + lines; ++i)
                tail->read_output_gradient_row(scratch.block, i, d + (kTop + i * TH) * kDRow + kLeft, TW, DW);
            read_padded<CI, H, W, PH, PW, XW>(scratch, rows_read, (h + lines - 1) * TH + SH);
            add_weight_gradient(scratch.input.get(), d, gradients, h, lines);
            if (first) continue;
            const int ready = h + lines == OH ? H : at_most(H, (h + lines - 1) * TH - PH + 1);
            for (; rows_written < ready; ++rows_written) {
                convolve<GO, GI, kBackwardChannels, W, 1>(d + rows_written * kDRow, DW, backward_weights.data(), nullptr,
                                                          scratch.row.get());
                sources[0]->write_gradient_row(scratch.block, rows_written, scratch.row.get(), W);
            }
        }
        if (BIAS) add_bias_gradient(d, gradients);
    }

private:
    void clear_margins(Vector* d) {
        std::fill_n(d, kTop * kDRow, Vector{});
        for (int row = kTop * CO; row < (kTop + OH) * CO; ++row) {
            std::fill_n(d + row * DW, kLeft, Vector{});
            std::fill_n(d + row * DW + kLeft + OW, DW - kLeft - OW, Vector{});
        }
        std::fill_n(d + (kTop + OH) * kDRow, (DH - kTop - OH) * kDRow, Vector{});
    }

    // One row of output, WIDTH pixels; each group's OUT channels see IN channels of their own.
    template <int IN, int OUT, int CHANNELS, int WIDTH, int STEP>
    static void convolve(const Vector* x, long x_width, const Scalar* w, const Scalar* b, Vector* y) {
        for (int group = 0; group < GROUPS; ++group) {
            for_tiles<WIDTH, kAccumulators / CHANNELS>([&](auto pixels, int column) {
                for_tiles<OUT, CHANNELS>([&](auto channels, int start) {
                    const int channel = group * OUT + start;
                    output_tile<KH, KW, STEP, RW, channels, pixels>(
                        x + group * IN * x_width + column * STEP, x_width, RH * GROUPS * IN * x_width, IN,
                        w + size_t(channel) * IN * kTaps, b ? b + channel : nullptr, y + channel * WIDTH + column, WIDTH);
                });
            });
        }
    }

    // A block of the gradient's channels stays in the second cache while all of the input passes over it.
    void add_weight_gradient(const Vector* x, const Vector* d, Scalar* gradients, int h, int lines) {
        for (int group = 0; group < GROUPS; ++group) {
            for_tiles<GO, 32>([&](auto channels_of_block, int block) {
                for_tiles<GI * KH, kWeightRows>([&](auto rows, int row) {
                    const Vector* starts[rows];
                    for (int i = 0; i < rows; ++i)
                        starts[i] = x + ((row + i) % KH * RH + h * TH) * kXRow + (group * GI + (row + i) / KH) * XW;
                    for_tiles<channels_of_block, kWeightChannelTile>([&](auto channels, int tile) {
                        const int channel = group * GO + block + tile;
                        weight_tile<rows, KW, RW, channels>(starts, TH * kXRow, TW,
                                                        d + (kTop + h * TH) * kDRow + channel * DW + kLeft, DW,
                                                        TH * kDRow, TW, lines, OW,
                                                        gradients + weight.gradient + (channel * GI * KH + row) * KW, GI * kTaps);
                    });
                });
            });
        }
    }

    void add_bias_gradient(const Vector* d, Scalar* gradients) {
        for (int co = 0; co < CO; ++co) {
            Vector sum{};
            for (int h = 0; h < OH; ++h)
                for (int w = 0; w < OW; ++w) sum += d[(kTop + h * TH) * kDRow + co * DW + kLeft + w * TW];
            gradients[bias.gradient + co] += Scalar(sum_lanes(sum, ~Mask{}));
        }
    }

    const Place weight, bias;
    std::vector<Scalar> forward_weights, backward_weights;
};

}  // namespace lenette
