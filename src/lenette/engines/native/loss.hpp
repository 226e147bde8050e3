// Softmax and cross-entropy with label smoothing, for the images of one block.
#pragma once

#include "stage.hpp"

namespace lenette {

struct BlockLoss {
    double loss = 0;
    int64_t correct = 0;
};

// Replace logits [classes] by their gradient of the batch's mean loss, 0 in lanes without an image.
inline BlockLoss cross_entropy(Vector* logits, int classes, Mask labels, Mask valid, double smoothing, int images) {
    Vector largest = logits[0], all{}, sum{}, of_label{};
    Mask best{};
    for (int c = 0; c < classes; ++c) {
        const Mask larger = logits[c] > largest;
        largest = select(larger, logits[c], largest);
        best = larger ? Mask{} + Integer(c) : best;
    }
    for (int c = 0; c < classes; ++c) {
        const Vector shifted = logits[c] - largest;
        all += shifted;
        of_label = select(labels == Integer(c), shifted, of_label);
        logits[c] = exponential(shifted);
        sum += logits[c];
    }
    BlockLoss result;
    for (int lane = 0; lane < kLanes; ++lane) {
        if (!valid[lane]) continue;
        result.loss += std::log(double(sum[lane])) - (1 - smoothing) * double(of_label[lane]) -
                       smoothing / classes * double(all[lane]);
        result.correct += best[lane] == labels[lane];
    }
    const Scalar elsewhere = Scalar(smoothing / classes), on_label = Scalar(1 - smoothing + smoothing / classes);
    const Scalar share = Scalar(1.0 / images);
    for (int c = 0; c < classes; ++c) {
        const Vector target = select(labels == Integer(c), Vector{} + on_label, Vector{} + elsewhere);
        logits[c] = keep(valid, (logits[c] / sum - target) * share);
    }
    return result;
}

}  // namespace lenette
