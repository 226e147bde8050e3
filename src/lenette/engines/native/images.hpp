// The batch's images: gathered, augmented (warp, jitter, erase), normalised, and laid out one image a lane.
#pragma once

#include "stage.hpp"

namespace lenette {

// What the plan says of an epoch; the rows of all of it follow the order. A null pointer: no such operation.
struct Epoch {
    const uint8_t* images = nullptr;   // [image][channel][row][column]
    const int64_t* labels = nullptr;
    const int64_t* order = nullptr;
    const float* warps = nullptr;      // [2][3]: output pixel (x, y, 1) to source (x, y)
    const float* jitters = nullptr;    // brightness, contrast
    const int64_t* erasures = nullptr; // top, left, height, width
    const uint8_t* grounds = nullptr;  // [image][channel], as the images: what warps uncover and erasures leave
};

class ImageSource : public Source {
public:
    using Source::Source;
    virtual void allocate(int blocks, ScratchSize& size) = 0;
    // Prepare the thread's block of the batch that starts at row `start` of the epoch.
    virtual void prepare(const Batch& batch, const Epoch& epoch, int64_t start, Scratch& own) = 0;
};

template <int C, int H, int W>
class Images : public ImageSource {
    static constexpr int kPlane = H * W;
    static constexpr int kRoom = (C * kPlane + kLanes - 1) / kLanes * kLanes;
    // A warp's source has a margin of zeros, into which every point outside is moved.
    static constexpr int kFrameWidth = W + 3, kFrameHeight = H + 3;

public:
    Images(const double (&means)[C], const double (&stds)[C]) : ImageSource(Shape{C, H, W}) {
        for (int c = 0; c < C; ++c) mean[c] = Scalar(means[c]), std[c] = Scalar(stds[c]);
    }

    void allocate(int blocks, ScratchSize& size) override {
        size.rendered = size_t(kLanes) * kRoom;
        size.framed = size_t(kFrameWidth) * kFrameHeight;
        pixels = make_buffer(size_t(blocks) * C * kPlane);
    }

    void prepare(const Batch& batch, const Epoch& epoch, int64_t start, Scratch& own) override {
        const int block = own.block, images = std::min(kLanes, batch.images - block * kLanes);
        Vector* to = pixels.get() + size_t(block) * C * kPlane;
        Scalar* rendered = own.rendered.data();
        // The images of a batch lie all over the memory: ask for them all before the first is needed.
        for (int lane = 0; lane < images; ++lane)
            for (int byte = 0; byte < C * kPlane; byte += 64)
                __builtin_prefetch(image_of(epoch, start + block * kLanes + lane) + byte);
        for (int lane = 0; lane < images; ++lane)
            render(epoch, start + block * kLanes + lane, rendered + lane * kRoom, own.framed.data());
        std::fill_n(rendered + images * kRoom, (kLanes - images) * kRoom, Scalar(0));
        for (int i = 0; i < C * kPlane; i += kLanes) {
            Vector tile[kLanes];
            for (int lane = 0; lane < kLanes; ++lane) tile[lane] = load(rendered + lane * kRoom + i);
            transpose(tile);
            std::copy_n(tile, std::min(kLanes, C * kPlane - i), to + i);
        }
    }

    void read_row(int block, int row, Vector* to, long plane) override {
        const Vector* from = pixels.get() + size_t(block) * C * kPlane + row * W;
        for (int c = 0; c < C; ++c) std::copy_n(from + c * kPlane, W, to + c * plane);
    }

    void write_gradient_row(int, int, const Vector*, long) override {}

private:
    static int64_t index_of(const Epoch& epoch, int64_t row) { return epoch.order ? epoch.order[row] : row; }

    static const uint8_t* image_of(const Epoch& epoch, int64_t row) {
        return epoch.images + index_of(epoch, row) * C * kPlane;
    }

    void render(const Epoch& epoch, int64_t row, Scalar* to, Scalar* framed) const {
        const uint8_t* image = image_of(epoch, row);
        Scalar ground[C] = {};
        if (epoch.grounds)
            for (int c = 0; c < C; ++c) ground[c] = Scalar(epoch.grounds[index_of(epoch, row) * C + c]) / 255;
        if (epoch.warps)
            warp(image, epoch.warps + row * 6, ground, to, framed);
        else
            for (int i = 0; i < C * kPlane; ++i) to[i] = Scalar(image[i]) / 255;
        if (epoch.jitters) jitter(epoch.jitters + row * 2, to);
        if (epoch.erasures) erase(epoch.erasures + row * 4, ground, to);
        for (int c = 0; c < C; ++c)
            for (int i = 0; i < kPlane; ++i) to[c * kPlane + i] = (to[c * kPlane + i] - mean[c]) / std[c];
    }

    // Bilinear, the ground outside: it is taken off before and laid on again. Only the inside of `framed` is written.
    static void warp(const uint8_t* image, const float* map, const Scalar* ground, Scalar* to, Scalar* framed) {
        constexpr int width = kFrameWidth;
        for (int c = 0; c < C; ++c, image += kPlane, to += kPlane) {
            for (int y = 0; y < H; ++y)
                for (int x = 0; x < W; ++x) framed[(y + 1) * width + x + 1] = Scalar(image[y * W + x]) / 255 - ground[c];
            for (int y = 0; y < H; ++y)
                for (int x = 0; x < W; ++x) {
                    const Scalar u = clamp(map[0] * Scalar(x) + map[1] * Scalar(y) + map[2], W);
                    const Scalar v = clamp(map[3] * Scalar(x) + map[4] * Scalar(y) + map[5], H);
                    const int column = int(u), line = int(v);  // u and v are moved to be positive: this is the floor
                    const Scalar right = u - Scalar(column), below = v - Scalar(line);
                    const Scalar* corner = framed + line * width + column;
                    to[y * W + x] = (corner[0] * (1 - right) + corner[1] * right) * (1 - below) +
                                    (corner[width] * (1 - right) + corner[width + 1] * right) * below + ground[c];
                }
        }
    }

    static Scalar clamp(Scalar position, int size) {
        position += 1;
        position = position > 0 ? position : Scalar(0);
        return position < Scalar(size + 1) ? position : Scalar(size + 1);
    }

    static void jitter(const float* factors, Scalar* to) {
        double sum = 0;
        for (int i = 0; i < C * kPlane; ++i) {
            to[i] = clip(to[i] * factors[0]);
            sum += double(to[i]);
        }
        const Scalar middle = Scalar(sum / (C * kPlane));
        for (int i = 0; i < C * kPlane; ++i) to[i] = clip((to[i] - middle) * factors[1] + middle);
    }

    static Scalar clip(Scalar v) { return v < 0 ? Scalar(0) : v > 1 ? Scalar(1) : v; }

    static void erase(const int64_t* square, const Scalar* ground, Scalar* to) {
        for (int c = 0; c < C; ++c)
            for (int64_t y = square[0]; y < square[0] + square[2]; ++y)
                std::fill_n(to + c * kPlane + y * W + square[1], square[3], ground[c]);
    }

    Scalar mean[C], std[C];
    Buffer pixels;  // [block][channel][row][column]
};

}  // namespace lenette
