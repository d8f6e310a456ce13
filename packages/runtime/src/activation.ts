/** Activations that can be fused behind a matmul or a convolution. */
export type Activation = "none" | "relu" | "gelu" | "gelu_tanh" | "quick_gelu" | "silu" | "sigmoid";

/**
 * WGSL `fn activate(x: f32) -> f32`. `gelu` is the exact one, x·Phi(x): WGSL has no erf, so erfc is computed by the
 * Chebyshev fit of Press et al., Numerical Recipes 6.2 (relative error below 1.2e-7 everywhere).
 */
export function activationWgsl(activation: Activation): string {
  switch (activation) {
    case "none":
      return "fn activate(x: f32) -> f32 { return x; }";
    case "relu":
      return "fn activate(x: f32) -> f32 { return max(x, 0.0); }";
    case "sigmoid":
      return "fn activate(x: f32) -> f32 { return 1.0 / (1.0 + exp(-x)); }";
    case "silu":
      return "fn activate(x: f32) -> f32 { return x / (1.0 + exp(-x)); }";
    case "quick_gelu":
      return "fn activate(x: f32) -> f32 { return x / (1.0 + exp(-1.702 * x)); }";
    case "gelu_tanh":
      // 1 + tanh(z) written as 2 - 2/(1 + exp(2z)): tanh() overflows to NaN for large arguments on some drivers
      return `fn activate(x: f32) -> f32 {
  let z = 0.7978845608028654 * (x + 0.044715 * x * x * x);
  return x * (1.0 - 1.0 / (1.0 + exp(2.0 * clamp(z, -40.0, 40.0))));
}`;
    case "gelu":
      return `fn activate(x: f32) -> f32 {
  let z = abs(x) * 0.7071067811865476;
  let t = 1.0 / (1.0 + 0.5 * z);
  let poly = -1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806
    + t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277))))))));
  let tail = 0.5 * t * exp(-z * z + poly);
  return select(x * tail, x * (1.0 - tail), x > 0.0);
}`;
  }
}

/** The same in f64. erf by its Taylor series where it converges fast, else by a continued fraction of erfc. */
export function activationReference(activation: Activation): (x: number) => number {
  switch (activation) {
    case "none":
      return (x) => x;
    case "relu":
      return (x) => Math.max(x, 0);
    case "sigmoid":
      return (x) => 1 / (1 + Math.exp(-x));
    case "silu":
      return (x) => x / (1 + Math.exp(-x));
    case "quick_gelu":
      return (x) => x / (1 + Math.exp(-1.702 * x));
    case "gelu_tanh":
      return (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
    case "gelu":
      return (x) => 0.5 * x * erfc(-x / Math.SQRT2);
  }
}

/** erfc in f64, relative error about 1e-15. */
export function erfc(x: number): number {
  if (x < 0) return 2 - erfc(-x);
  if (x < 2.5) {
    // erf(x) = 2/sqrt(pi) · sum (-1)^n x^(2n+1) / (n! (2n+1)), whose terms grow to exp(x²) before they fall
    let term = x;
    let sum = x;
    for (let n = 1; n < 200; n++) {
      term *= (-x * x) / n;
      const add = term / (2 * n + 1);
      sum += add;
      if (Math.abs(add) < 1e-18 * Math.abs(sum)) break;
    }
    return 1 - (2 / Math.sqrt(Math.PI)) * sum;
  }
  // Lentz's method on the continued fraction, evaluated backwards
  let fraction = 0;
  for (let k = 120; k > 0; k--) fraction = k / 2 / (x + fraction);
  return Math.exp(-x * x) / Math.sqrt(Math.PI) / (x + fraction);
}
