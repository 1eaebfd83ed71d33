//! Labels of 8 sectors in AVX2.

use super::lanes;
use super::{Header, Window};
use crate::sha256::avx2::Words;

/// See [`super::Layer::label_nodes`].
#[target_feature(enable = "avx2")]
pub fn label_nodes(sectors: &[Header], window: Window<'_, [[u32; 8]; 8]>) {
    // SAFETY: this function's features are those of the type.
    unsafe { lanes::label_nodes::<Words, 8>(sectors, window) }
}
