// Linear layers: the tiles of a 1x1 convolution, its pixels being the blocks of the batch.
#pragma once

#include "stage.hpp"
#include "tiles.hpp"

namespace lenette {

template <int IN, int OUT, bool BIAS>
class Linear : public Operation {
    static constexpr int kRows = 4, kChannels = kAccumulators / kRows;

public:
    Linear(long weight, long bias) : weight(weight), bias(bias) {}

    void allocate(int blocks, ScratchSize& size) override {
        size.gradient = std::max(size.gradient, size_t(OUT));
        size.row = std::max(size.row, size_t(IN));
        x = make_buffer(size_t(blocks) * IN);
        dy = make_buffer(size_t(blocks) * OUT);
        forward_weights.resize(size_t(IN) * OUT);
        backward_weights.resize(size_t(IN) * OUT);
    }

    void pack(int part, int parts) override {
        const Scalar* w = memory->parameters + weight;
        for_tiles<OUT, kAccumulators>([&](auto tile, int start) {
            if (start / kAccumulators % parts != part) return;
            Scalar* to = &forward_weights[size_t(start) * IN];
            for (int in = 0; in < IN; ++in)
                for (int out = 0; out < tile; ++out) *to++ = w[(start + out) * IN + in];
        });
        if (first) return;
        for_tiles<IN, kAccumulators>([&](auto tile, int start) {
            if (start / kAccumulators % parts != part) return;
            Scalar* to = &backward_weights[size_t(start) * OUT];
            for (int out = 0; out < OUT; ++out)
                for (int in = 0; in < tile; ++in) *to++ = w[out * IN + start + in];
        });
    }

    void forward(Scratch& scratch) override {
        const Shape shape = source->shape;
        Vector* input = x.get() + size_t(scratch.block) * IN;
        for (int row = 0; row < shape.height; ++row)
            source->read_row(scratch.block, row, input + row * shape.width, shape.height * shape.width);
        multiply<IN, OUT>(input, forward_weights.data(), BIAS ? memory->parameters + bias : nullptr,
                          tail->output(scratch.block));
        tail->observe_row(scratch.block, 0);
    }

    void backward(Scratch& scratch) override {
        const Shape shape = source->shape;
        Vector* d = dy.get() + size_t(scratch.block) * OUT;
        tail->read_output_gradient_row(scratch.block, 0, d, 1, 1);
        if (first) return;
        multiply<OUT, IN>(d, backward_weights.data(), nullptr, scratch.row.get());
        for (int row = 0; row < shape.height; ++row)
            source->write_gradient_row(scratch.block, row, scratch.row.get() + row * shape.width,
                                       shape.height * shape.width);
    }

    void weight_gradient(int part, int parts) override {
        Scalar* gradients = memory->gradients;
        for_tiles<IN, kRows>([&](auto rows, int in) {
            if (in / kRows * parts / (IN / kRows + 1) != part) return;
            const Vector* starts[rows];
            for (int i = 0; i < rows; ++i) starts[i] = x.get() + in + i;
            for (int out = 0; out < OUT; ++out) std::fill_n(gradients + weight + out * IN + in, int(rows), Scalar(0));
            for_tiles<OUT, kChannels>([&](auto channels, int out) {
                weight_tile<rows, 1, channels>(starts, 0, IN, dy.get() + out, 1, 0, OUT, 1, batch->blocks,
                                               gradients + weight + out * IN + in, IN);
            });
        });
        if (!BIAS || part != parts - 1) return;
        for (int out = 0; out < OUT; ++out) {
            Vector sum{};
            for (int block = 0; block < batch->blocks; ++block) sum += dy[size_t(block) * OUT + out];
            gradients[bias + out] = Scalar(sum_lanes(sum, ~Mask{}));
        }
    }

private:
    template <int FROM, int TO>
    static void multiply(const Vector* from, const Scalar* w, const Scalar* b, Vector* to) {
        for_tiles<TO, kAccumulators>([&](auto tile, int start) {
            output_tile<1, 1, 1, tile, 1>(from, 1, 0, FROM, w + size_t(start) * FROM, b ? b + start : nullptr,
                                          to + start, 1);
        });
    }

    const long weight, bias;
    Buffer x, dy;  // [block][feature]
    std::vector<Scalar> forward_weights, backward_weights;
};

// Hands its input on, so that a tail may follow a tail: batch-norm after ReLU, say.
template <int C, int H, int W>
class Copy : public Operation {
public:
    void allocate(int, ScratchSize& size) override { size.row = std::max(size.row, size_t(C) * W); }

    void forward(Scratch& scratch) override {
        for (int row = 0; row < H; ++row) {
            source->read_row(scratch.block, row, tail->output(scratch.block) + row * C * W, W);
            tail->observe_row(scratch.block, row);
        }
    }

    void backward(Scratch& scratch) override {
        if (first) return;
        for (int row = 0; row < H; ++row) {
            tail->read_output_gradient_row(scratch.block, row, scratch.row.get(), 1, W);
            source->write_gradient_row(scratch.block, row, scratch.row.get(), W);
        }
    }
};

}  // namespace lenette
