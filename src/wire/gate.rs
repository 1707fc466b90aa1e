//! What a receiver has to say while a packet is read.

use crate::wire::error::WireError;
use crate::wire::header::Header;

/// Decides at two points whether a packet is read on. A function from the header to whether the packet is the receiver's
/// own is a gate that is otherwise open.
pub trait Gate {
    /// Whether the receiver sent it itself. The header is *not verified*.
    fn is_own(&self, header: &Header) -> bool;

    /// Before the signature is looked at, which is the first thing that takes long. The header is *not verified*: anybody
    /// may have put any sender into it.
    ///
    /// # Errors
    /// Usually [`WireError::Throttled`]: the packet is dropped.
    fn admit(&mut self, _header: &Header) -> Result<(), WireError> {
        Ok(())
    }

    /// The signature holds; before anything of the body is decrypted or read.
    ///
    /// # Errors
    /// Usually [`WireError::Throttled`]: the packet is dropped.
    fn verified(&mut self, _header: &Header) -> Result<(), WireError> {
        Ok(())
    }
}

impl<F: Fn(&Header) -> bool> Gate for F {
    fn is_own(&self, header: &Header) -> bool {
        self(header)
    }
}
