// Activations: what a tail makes of each value z, and the gradient of z where that of the result is g.
#pragma once

#include "vector.hpp"

namespace lenette {

inline Vector sigmoid(Vector z) { return 1 / (1 + exponential(-z)); }
inline Vector minimum(Vector a, Vector b) { return a < b ? a : b; }  // b, where one is not a number
inline Vector relu6(Vector z) { return minimum(Vector{} + Scalar(6), maximum(Vector{}, z)); }

// tanh and its slope, of e = exp(2|z|) - 1: e / (e + 2) and 4 (e + 1) / (e + 2)^2 lose no digits about 0 or far from it.
struct HyperbolicTangent {
    Vector value, slope;

    explicit HyperbolicTangent(Vector z) {
        const Vector distance = minimum(Vector{} + Scalar(40), maximum(z, -z));  // beyond it is 1
        const Vector e = exponential_less_one(2 * distance), share = 1 / (e + 2);
        value = select(z < 0, -(e * share), e * share);
        slope = (e + 1) * share * share * 4;
    }
};

struct Same {
    Vector operator()(Vector z) const { return z; }
    Vector gradient(Vector, Vector g) const { return g; }
};

struct Affine {
    Scalar factor, offset;
    Vector operator()(Vector z) const { return z * factor + offset; }
    Vector gradient(Vector, Vector g) const { return g * factor; }
};

struct Relu {
    Vector operator()(Vector z) const { return maximum(Vector{}, z); }  // so ordered, not a number stays one
    Vector gradient(Vector z, Vector g) const { return keep(z > Vector{}, g); }
};

struct Relu6 {
    Vector operator()(Vector z) const { return relu6(z); }
    Vector gradient(Vector z, Vector g) const { return keep((z > 0) & (z < 6), g); }
};

struct LeakyRelu {
    Scalar slope;
    Vector operator()(Vector z) const { return select(z > 0, z, z * slope); }
    Vector gradient(Vector z, Vector g) const { return select(z > 0, g, g * slope); }
};

struct Elu {
    Scalar alpha;
    Vector operator()(Vector z) const { return select(z > 0, z, alpha * exponential_less_one(z)); }
    Vector gradient(Vector z, Vector g) const { return select(z > 0, g, g * (alpha * exponential(z))); }
};

struct Sigmoid {
    Vector operator()(Vector z) const { return sigmoid(z); }
    Vector gradient(Vector z, Vector g) const {
        const Vector a = sigmoid(z);
        return g * (a * (1 - a));
    }
};

struct Silu {
    Vector operator()(Vector z) const { return z * sigmoid(z); }
    Vector gradient(Vector z, Vector g) const {
        const Vector a = sigmoid(z);
        return g * (a * (1 + z * (1 - a)));
    }
};

struct Tanh {
    Vector operator()(Vector z) const { return HyperbolicTangent(z).value; }
    Vector gradient(Vector z, Vector g) const { return g * HyperbolicTangent(z).slope; }
};

struct Gelu {  // z times the share of the normal distribution below z
    Vector operator()(Vector z) const { return z * normal_below(z); }
    Vector gradient(Vector z, Vector g) const {
        const Vector density = exponential(z * z * Scalar(-0.5)) * Scalar(0.3989422804014327);
        return g * (normal_below(z) + z * density);
    }
};

struct GeluTanh {
    static constexpr Scalar kRoot = Scalar(0.7978845608028654), kCube = Scalar(0.044715);  // sqrt(2 / pi)
    Vector operator()(Vector z) const { return Scalar(0.5) * z * (1 + HyperbolicTangent(inner(z)).value); }
    Vector gradient(Vector z, Vector g) const {
        const HyperbolicTangent a(inner(z));
        return g * Scalar(0.5) * (1 + a.value + z * a.slope * (kRoot * (1 + 3 * kCube * z * z)));
    }
    static Vector inner(Vector z) { return kRoot * (z + kCube * z * z * z); }
};

struct Hardswish {
    Vector operator()(Vector z) const { return z * relu6(z + 3) / 6; }
    Vector gradient(Vector z, Vector g) const {
        return select(z >= 3, g, keep(z > -3, g * (z / 3 + Scalar(0.5))));
    }
};

struct Hardsigmoid {
    Vector operator()(Vector z) const { return relu6(z + 3) / 6; }
    Vector gradient(Vector z, Vector g) const { return keep((z > -3) & (z < 3), g / 6); }
};

struct Softplus {
    Scalar beta, threshold;
    Vector operator()(Vector z) const {
        const Vector v = z * beta, distance = maximum(v, -v);
        return select(v > threshold, z, (maximum(Vector{}, v) + logarithm_of_one_and(exponential(-distance))) / beta);
    }
    Vector gradient(Vector z, Vector g) const { return select(z * beta > threshold, g, g * sigmoid(z * beta)); }
};

}  // namespace lenette
