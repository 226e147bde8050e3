// Activations: what a tail makes of each value z, and the gradient of z where that of the result is g.
#pragma once

#include "vector.hpp"

namespace lenette {

inline Vector sigmoid(Vector z) { return 1 / (1 + exponential(-z)); }
inline Vector minimum(Vector a, Vector b) { return a < b ? a : b; }  // b, where one is not a number
inline Vector relu6(Vector z) { return minimum(Vector{} + Scalar(6), maximum(Vector{}, z)); }

// tanh(z) = e / (e + 2), e = exp(2z) - 1: no digits are lost about 0.
inline Vector hyperbolic_tangent(Vector z) {
    const Vector e = exponential_less_one(2 * z);
    return e / (e + 2);
}

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
    Vector operator()(Vector z) const { return hyperbolic_tangent(z); }
    Vector gradient(Vector z, Vector g) const {
        const Vector a = hyperbolic_tangent(z);
        return g * (1 - a * a);
    }
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
    Vector operator()(Vector z) const { return Scalar(0.5) * z * (1 + hyperbolic_tangent(inner(z))); }
    Vector gradient(Vector z, Vector g) const {
        const Vector a = hyperbolic_tangent(inner(z));
        return g * (Scalar(0.5) * (1 + a) + Scalar(0.5) * z * (1 - a * a) * (kRoot * (1 + 3 * kCube * z * z)));
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
