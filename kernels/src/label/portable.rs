//! Labels of one sector in plain Rust.

use super::lanes;
use super::{Header, Window};

/// See [`super::Layer::label_nodes`].
pub fn label_nodes(sectors: &[Header], window: Window<'_, [[u32; 1]; 8]>) {
    // SAFETY: this function's features are those of the type.
    unsafe { lanes::label_nodes::<u32, 1>(sectors, window) }
}
