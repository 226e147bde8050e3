// Layers of single images: normalisation over groups of channels, PReLU, softmax, and dropout of whole channels.
#pragma once

#include "dropout.hpp"
#include "stage.hpp"

namespace lenette {

// Weights whose gradient is the sum over the pixels of each image: a chunk has a part of its own.
class PixelWeights {
public:
    PixelWeights(Place place, int size) : place(place), size(size) {}

    Scalar operator()(const Memory& memory, int i, Scalar otherwise) const {
        return place.value < 0 ? otherwise : memory.parameters[place.value + i];
    }

    void begin(const Memory& memory, const Scratch& own) const {
        if (place.value >= 0 && own.first_of_chunk) std::fill_n(gradients(memory, own), size, Scalar(0));
    }

    void add(const Memory& memory, const Scratch& own, int i, Vector g) const {
        if (place.value >= 0) gradients(memory, own)[i] += Scalar(sum_lanes(g, ~Mask{}));
    }

private:
    Scalar* gradients(const Memory& memory, const Scratch& own) const {
        return memory.gradients + own.chunk * memory.num_gradients + place.gradient;
    }

    Place place;
    int size;
};

// Group and layer normalisation: each image's groups of channels get mean 0 and variance 1. The weights are one for each
// channel, or, with EACH, one for each value of the map.
template <int C, int H, int W, int GROUPS, bool EACH>
class GroupNorm : public Operation {
    static constexpr int kChannels = C / GROUPS, kCount = kChannels * H * W;

public:
    GroupNorm(Place weight, Place bias, double eps)
        : weight(weight, EACH ? C * H * W : C), bias(bias, EACH ? C * H * W : C), eps(Scalar(eps)) {}

    void allocate(int, ScratchSize& size) override {
        size.input = std::max(size.input, size_t(C) * H * W);
        size.gradient = std::max(size.gradient, size_t(C) * H * W);
    }

    void forward(Scratch& scratch) override {
        Vector inverses[GROUPS];
        standardise(scratch, inverses);
        const Vector* x = scratch.input.get();
        Vector* y = tail->output(scratch.block);
        for (int row = 0; row < H; ++row) {
            for (int c = 0; c < C; ++c)
                for (int w = 0; w < W; ++w, ++x, ++y) {
                    const int i = place(c, row, w);
                    *y = *x * weight(*memory, i, 1) + bias(*memory, i, 0);
                }
            tail->observe_row(scratch.block, row);
        }
    }

    void backward(Scratch& scratch) override {
        weight.begin(*memory, scratch);
        bias.begin(*memory, scratch);
        Vector inverses[GROUPS], *x = scratch.input.get(), *d = scratch.gradient.get();
        standardise(scratch, inverses);
        for (int row = 0; row < H; ++row) tail->read_output_gradient_row(scratch.block, row, d + row * C * W, 1, W);
        add_weight_gradients(scratch);
        if (first) return;
        // dx = inverse * (g - mean(g) - x * mean(g * x)), where g = weight * d and x is standardised
        for (int group = 0; group < GROUPS; ++group) {
            Vector sum{}, product{};
            for_group(group, [&](int i, int c, int h, int w) {
                d[i] *= weight(*memory, place(c, h, w), 1);
                sum += d[i];
                product += d[i] * x[i];
            });
            sum /= Scalar(kCount), product /= Scalar(kCount);
            for_group(group, [&](int i, int, int, int) { d[i] = inverses[group] * (d[i] - sum - x[i] * product); });
        }
        for (int row = 0; row < H; ++row) sources[0]->write_gradient_row(scratch.block, row, d + row * C * W, W);
    }

private:
    static int place(int c, int h, int w) { return EACH ? (c * H + h) * W + w : c; }

    template <class F>
    static void for_group(int group, F f) {
        for (int h = 0; h < H; ++h)
            for (int c = group * kChannels; c < (group + 1) * kChannels; ++c)
                for (int w = 0; w < W; ++w) f((h * C + c) * W + w, c, h, w);
    }

    void standardise(Scratch& scratch, Vector* inverses) const {
        Vector* x = scratch.input.get();
        for (int row = 0; row < H; ++row) sources[0]->read_row(scratch.block, row, x + row * C * W, W);
        for (int group = 0; group < GROUPS; ++group) {
            Vector sum{}, squares{};
            for_group(group, [&](int i, int, int, int) { sum += x[i]; });
            const Vector mean = sum / Scalar(kCount);
            for_group(group, [&](int i, int, int, int) {
                x[i] -= mean;
                squares += x[i] * x[i];
            });
            inverses[group] = 1 / square_root(squares / Scalar(kCount) + eps);
            for_group(group, [&](int i, int, int, int) { x[i] *= inverses[group]; });
        }
    }

    void add_weight_gradients(Scratch& scratch) const {
        const Vector *x = scratch.input.get(), *d = scratch.gradient.get();
        for (int c = 0; c < C; ++c) {
            Vector of_weight{}, of_bias{};
            for (int h = 0; h < H; ++h)
                for (int w = 0; w < W; ++w) {
                    const int i = (h * C + c) * W + w;
                    of_weight += d[i] * x[i];
                    of_bias += d[i];
                    if (!EACH && (h < H - 1 || w < W - 1)) continue;
                    weight.add(*memory, scratch, place(c, h, w), of_weight);
                    bias.add(*memory, scratch, place(c, h, w), of_bias);
                    of_weight = of_bias = Vector{};
                }
        }
    }

    const PixelWeights weight, bias;
    const Scalar eps;
};

// x where it is positive, else x times a weight: one for each channel, or one for all.
template <int C, int H, int W, bool EACH>
class PRelu : public Operation {
public:
    explicit PRelu(Place slope) : slope(slope, EACH ? C : 1) {}

    void allocate(int, ScratchSize& size) override {
        size.row = std::max(size.row, size_t(C) * W);
        size.input = std::max(size.input, size_t(C) * W);
        size.gradient = std::max(size.gradient, size_t(C));
    }

    void forward(Scratch& scratch) override {
        for (int row = 0; row < H; ++row) {
            Vector* y = tail->output(scratch.block) + row * C * W;
            sources[0]->read_row(scratch.block, row, y, W);
            for (int i = 0; i < C * W; ++i) y[i] = select(y[i] > 0, y[i], y[i] * factor(i / W));
            tail->observe_row(scratch.block, row);
        }
    }

    void backward(Scratch& scratch) override {
        slope.begin(*memory, scratch);
        Vector *x = scratch.input.get(), *d = scratch.row.get(), *sums = scratch.gradient.get();
        std::fill_n(sums, C, Vector{});
        for (int row = 0; row < H; ++row) {
            sources[0]->read_row(scratch.block, row, x, W);
            tail->read_output_gradient_row(scratch.block, row, d, 1, W);
            for (int i = 0; i < C * W; ++i) {
                sums[i / W] += select(x[i] > 0, Vector{}, d[i] * x[i]);
                d[i] = select(x[i] > 0, d[i], d[i] * factor(i / W));
            }
            sources[0]->write_gradient_row(scratch.block, row, d, W);
        }
        for (int c = 0; c < C; ++c) slope.add(*memory, scratch, EACH ? c : 0, sums[c]);
    }

private:
    Scalar factor(int c) const { return slope(*memory, EACH ? c : 0, 0); }

    const PixelWeights slope;
};

// exp(x) over its sum over the channels.
template <int C, int H, int W>
class Softmax : public Operation {
public:
    void allocate(int, ScratchSize& size) override {
        size.row = std::max(size.row, size_t(C) * W);
        size.input = std::max(size.input, size_t(C) * W);
    }

    void forward(Scratch& scratch) override {
        for (int row = 0; row < H; ++row) {
            Vector* y = tail->output(scratch.block) + row * C * W;
            take(scratch.block, row, y);
            tail->observe_row(scratch.block, row);
        }
    }

    void backward(Scratch& scratch) override {
        if (first) return;
        Vector *y = scratch.input.get(), *d = scratch.row.get();
        for (int row = 0; row < H; ++row) {
            take(scratch.block, row, y);
            tail->read_output_gradient_row(scratch.block, row, d, 1, W);
            for (int w = 0; w < W; ++w) {
                Vector sum{};
                for (int c = 0; c < C; ++c) sum += d[c * W + w] * y[c * W + w];
                for (int c = 0; c < C; ++c) d[c * W + w] = y[c * W + w] * (d[c * W + w] - sum);
            }
            sources[0]->write_gradient_row(scratch.block, row, d, W);
        }
    }

private:
    void take(int block, int row, Vector* y) const {
        sources[0]->read_row(block, row, y, W);
        for (int w = 0; w < W; ++w) {
            Vector largest = y[w], sum{};
            for (int c = 1; c < C; ++c) largest = maximum(y[c * W + w], largest);
            for (int c = 0; c < C; ++c) sum += y[c * W + w] = exponential(y[c * W + w] - largest);
            for (int c = 0; c < C; ++c) y[c * W + w] /= sum;
        }
    }
};

// Dropout of whole channels: a mask's element is a channel.
template <int C, int H, int W>
class ChannelDropout : public Operation {
public:
    explicit ChannelDropout(Dropout dropout) : dropout(std::move(dropout)) {}

    void allocate(int blocks, ScratchSize& size) override {
        size.row = std::max(size.row, size_t(C) * W);
        dropout.allocate(blocks, C, size);
    }

    void draw_masks(Scratch& own, const uint64_t (*keys)[2]) override { dropout.draw(own.block, keys, own.drops); }

    void forward(Scratch& scratch) override {
        for (int row = 0; row < H; ++row) {
            Vector* y = tail->output(scratch.block) + row * C * W;
            sources[0]->read_row(scratch.block, row, y, W);
            if (batch->training) apply(scratch.block, y);
            tail->observe_row(scratch.block, row);
        }
    }

    void backward(Scratch& scratch) override {
        if (first) return;
        for (int row = 0; row < H; ++row) {
            tail->read_output_gradient_row(scratch.block, row, scratch.row.get(), 1, W);
            apply(scratch.block, scratch.row.get());
            sources[0]->write_gradient_row(scratch.block, row, scratch.row.get(), W);
        }
    }

private:
    void apply(int block, Vector* row) const {
        for (int i = 0; i < C * W; ++i) row[i] = dropout.apply(block, i / W, row[i]);
    }

    Dropout dropout;
};

}  // namespace lenette
