// Linear layers: forward and the input's gradient are the tiles of a 1x1 convolution of one pixel; the weights' gradient
// turns the input over, so that a lane holds another weight and no sum crosses lanes.
#pragma once

#include "stage.hpp"
#include "tiles.hpp"

namespace lenette {

template <int IN, int OUT, bool BIAS>
class Linear : public Operation {
    static constexpr int kInputTile = 2 * kLanes;

public:
    Linear(Place weight, Place bias) : weight(weight), bias(bias) {}

    void allocate(int blocks, ScratchSize& size) override {
        size.gradient = std::max(size.gradient, size_t(OUT));
        size.row = std::max(size.row, size_t(IN));
        size.turned = std::max(size.turned, size_t(blocks) * kLanes * 2);
        x = make_buffer(size_t(blocks) * IN);
        dy = make_buffer(size_t(blocks) * OUT);
        forward_weights.resize(size_t(IN) * OUT);
        backward_weights.resize(size_t(IN) * OUT);
    }

    void pack(int part, int parts) override {
        const Scalar* w = memory->parameters + weight.value;
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
        const Shape shape = sources[0]->shape;
        Vector* input = x.get() + size_t(scratch.block) * IN;
        for (int row = 0; row < shape.height; ++row)
            sources[0]->read_row(scratch.block, row, input + row * shape.width, shape.height * shape.width);
        multiply<IN, OUT>(input, forward_weights.data(), BIAS ? memory->parameters + bias.value : nullptr,
                          tail->output(scratch.block));
        tail->observe_row(scratch.block, 0);
    }

    void backward(Scratch& scratch) override {
        const Shape shape = sources[0]->shape;
        Vector* d = dy.get() + size_t(scratch.block) * OUT;
        tail->read_output_gradient_row(scratch.block, 0, d, 1, 1);
        if (first) return;
        multiply<OUT, IN>(d, backward_weights.data(), nullptr, scratch.row.get());
        for (int row = 0; row < shape.height; ++row)
            sources[0]->write_gradient_row(scratch.block, row, scratch.row.get() + row * shape.width,
                                       shape.height * shape.width);
    }

    void weight_gradient(Scratch& scratch, int part, int parts) override {
        Scalar* gradients = memory->gradients;
        Vector* turned = scratch.turned.get();  // [image][2]: the inputs of the tile
        constexpr int tiles = (IN + kInputTile - 1) / kInputTile;
        for (int tile = tiles * part / parts; tile < tiles * (part + 1) / parts; ++tile) {
            const int in = tile * kInputTile, inputs = at_most(kInputTile, IN - in);
            turn_over(in, inputs, turned);
            for_tiles<OUT, kAccumulators / 2>([&](auto channels, int out) {
                const Scalar* d = reinterpret_cast<const Scalar*>(dy.get() + out);
                outer_product_tile<channels>(turned, d, OUT * kLanes, batch->images,
                                             gradients + weight.gradient + out * IN + in, IN, inputs);
            });
        }
        if (!BIAS || part != parts - 1) return;
        for (int out = 0; out < OUT; ++out) {
            Vector sum{};
            for (int block = 0; block < batch->blocks; ++block) sum += dy[size_t(block) * OUT + out];
            gradients[bias.gradient + out] = Scalar(sum_lanes(sum, ~Mask{}));
        }
    }

private:
    void turn_over(int in, int inputs, Vector* to) const {
        for (int block = 0; block < batch->blocks; ++block)
            for (int half = 0; half < 2; ++half) {
                Vector tile[kLanes] = {};
                for (int i = half * kLanes; i < at_most((half + 1) * kLanes, inputs); ++i)
                    tile[i - half * kLanes] = x[size_t(block) * IN + in + i];
                transpose(tile);
                for (int lane = 0; lane < kLanes; ++lane) to[(block * kLanes + lane) * 2 + half] = tile[lane];
            }
    }

    template <int FROM, int TO>
    static void multiply(const Vector* from, const Scalar* w, const Scalar* b, Vector* to) {
        for_tiles<TO, kAccumulators>([&](auto tile, int start) {
            output_tile<1, 1, 1, 1, tile, 1>(from, 1, 0, FROM, w + size_t(start) * FROM, b ? b + start : nullptr,
                                          to + start, 1);
        });
    }

    const Place weight, bias;
    Buffer x, dy;  // [block][feature]
    std::vector<Scalar> forward_weights, backward_weights;
};

}  // namespace lenette
