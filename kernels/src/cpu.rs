//! What the CPU can do: asked once, passed down as a value. The only file that asks.

/// The CPU features that backends need.
///
/// A value never claims more than this CPU has: [`Features::detect`] is the only source, the other constructors take
/// features away. Safe code that holds a backend relies on this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    sha_ni: bool,
    avx2: bool,
    avx512: bool,
    avx512_ifma: bool,
}

impl Features {
    /// The features of the CPU this runs on, where the operating system lets them be used.
    pub fn detect() -> Features {
        Features {
            sha_ni: is_x86_feature_detected!("sha")
                && is_x86_feature_detected!("ssse3")
                && is_x86_feature_detected!("sse4.1"),
            avx2: is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            avx512: is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl"),
            avx512_ifma: is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512ifma"),
        }
    }

    /// No feature beyond the x86-64 baseline.
    pub fn baseline() -> Features {
        Features { sha_ni: false, avx2: false, avx512: false, avx512_ifma: false }
    }

    /// The SHA extensions, with the byte shuffles (SSSE3) and blends (SSE4.1) that code around them uses.
    pub fn sha_ni(self) -> bool {
        self.sha_ni
    }

    /// Vectors of 256 bits (AVX2), with fused multiplication and addition (FMA).
    pub fn avx2(self) -> bool {
        self.avx2
    }

    /// Vectors of 512 bits (AVX-512 F), with bytes (BW), long words (DQ) and the same instructions on shorter vectors (VL): all
    /// server CPUs that have the first have the other three.
    pub fn avx512(self) -> bool {
        self.avx512
    }

    /// Multiply-adds of 52-bit numbers in vectors of 512 bits (AVX-512F and IFMA).
    pub fn avx512_ifma(self) -> bool {
        self.avx512_ifma
    }
}
