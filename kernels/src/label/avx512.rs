//! Labels of 16 or 32 sectors in AVX-512.

use super::lanes;
use super::{Header, Window};
use crate::sha256::avx512::Words;
use crate::sha256::lanes::Two;

/// See [`super::Layer::label_nodes`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub fn label_nodes(sectors: &[Header], window: Window<'_, [[u32; 16]; 8]>) {
    // SAFETY: this function's features are those of the type.
    unsafe { lanes::label_nodes::<Words, 16>(sectors, window) }
}

/// See [`super::Layer::label_nodes`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub fn label_nodes_x32(sectors: &[Header], window: Window<'_, [[u32; 32]; 8]>) {
    // SAFETY: this function's features are those of the type.
    unsafe { lanes::label_nodes::<Two<Words>, 32>(sectors, window) }
}
