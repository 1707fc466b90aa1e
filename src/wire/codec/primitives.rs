//! The few shapes of CBOR (RFC 8949) that the protocol uses, each read with its bound.

use minicbor::data::Type;
use minicbor::{Decoder, Encoder};

use crate::wire::error::WireError;

/// A cap on the elements of a list or the bytes of a string.
#[derive(Debug, Clone, Copy)]
pub(in crate::wire) struct Limit {
    /// What is limited, for the error.
    pub(in crate::wire) what: &'static str,
    /// The largest length allowed.
    pub(in crate::wire) max: usize,
}

impl Limit {
    /// Refuses a length beyond the cap.
    pub(in crate::wire) fn check(self, length: usize) -> Result<(), WireError> {
        if length <= self.max { Ok(()) } else { Err(WireError::TooLong { what: self.what, length, max: self.max }) }
    }
}

/// A value with a CBOR form. Both directions enforce the same bounds, so that nothing is sent that others refuse.
pub(in crate::wire) trait Wire: Sized {
    /// Appends the value.
    fn write(&self, writer: &mut Writer) -> Result<(), WireError>;
    /// Takes the value off.
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError>;
}

/// Appends CBOR in its deterministic encoding (RFC 8949, section 4.2.1).
pub(in crate::wire) struct Writer(Encoder<Vec<u8>>);

/// Writing to a `Vec` cannot fail, which its `Infallible` error says; the encoder's own error type hides it.
fn infallible<T, E>(_: Result<T, E>) {}

impl Writer {
    /// With room for `capacity_bytes`.
    pub(in crate::wire) fn with_capacity(capacity_bytes: usize) -> Self {
        Self(Encoder::new(Vec::with_capacity(capacity_bytes)))
    }

    /// What was written.
    pub(in crate::wire) fn into_bytes(self) -> Vec<u8> {
        self.0.into_writer()
    }

    /// Begins an array of `length` elements.
    pub(in crate::wire) fn array(&mut self, length: usize) {
        infallible(self.0.array(length as u64));
    }

    /// Begins a map of `length` pairs.
    pub(in crate::wire) fn map(&mut self, length: usize) {
        infallible(self.0.map(length as u64));
    }

    /// An unsigned integer.
    pub(in crate::wire) fn uint(&mut self, value: u64) {
        infallible(self.0.u64(value));
    }

    /// A byte string whose length the grammar or the caller fixes.
    pub(in crate::wire) fn raw_bytes(&mut self, value: &[u8]) {
        infallible(self.0.bytes(value));
    }

    /// A byte string.
    pub(in crate::wire) fn bytes(&mut self, value: &[u8], limit: Limit) -> Result<(), WireError> {
        limit.check(value.len())?;
        self.raw_bytes(value);
        Ok(())
    }

    /// A text string.
    pub(in crate::wire) fn text(&mut self, value: &str, limit: Limit) -> Result<(), WireError> {
        limit.check(value.len())?;
        infallible(self.0.str(value));
        Ok(())
    }

    /// A text string, or null.
    pub(in crate::wire) fn optional_text(&mut self, value: Option<&str>, limit: Limit) -> Result<(), WireError> {
        if let Some(value) = value {
            self.text(value, limit)
        } else {
            infallible(self.0.null());
            Ok(())
        }
    }

    /// A byte string whose length the grammar fixes, or null.
    pub(in crate::wire) fn optional_bytes(&mut self, value: Option<&[u8]>) {
        match value {
            Some(value) => self.raw_bytes(value),
            None => infallible(self.0.null()),
        }
    }

    /// A list of any length up to the limit.
    pub(in crate::wire) fn list<T: Wire>(&mut self, values: &[T], limit: Limit) -> Result<(), WireError> {
        limit.check(values.len())?;
        self.array(values.len());
        values.iter().try_for_each(|value| value.write(self))
    }
}

/// Takes CBOR apart without trusting any length in it.
pub(in crate::wire) struct Reader<'b>(Decoder<'b>);

impl<'b> Reader<'b> {
    /// Reads from the start of `bytes`.
    pub(in crate::wire) fn new(bytes: &'b [u8]) -> Self {
        Self(Decoder::new(bytes))
    }

    /// Refuses anything behind the end.
    pub(in crate::wire) fn finish(self, what: &'static str) -> Result<(), WireError> {
        if self.0.position() == self.0.input().len() { Ok(()) } else { Err(WireError::Malformed { what }) }
    }

    /// The length of an array; its elements follow.
    pub(in crate::wire) fn array(&mut self, what: &'static str) -> Result<usize, WireError> {
        definite(self.0.array().ok().flatten(), what)
    }

    /// The number of pairs of a map; they follow.
    pub(in crate::wire) fn map(&mut self, what: &'static str) -> Result<usize, WireError> {
        definite(self.0.map().ok().flatten(), what)
    }

    /// An array that has exactly as many elements as the grammar says.
    pub(in crate::wire) fn fields(&mut self, expected: usize, what: &'static str) -> Result<(), WireError> {
        if self.array(what)? == expected { Ok(()) } else { Err(WireError::Malformed { what }) }
    }

    /// An unsigned integer.
    pub(in crate::wire) fn uint(&mut self, what: &'static str) -> Result<u64, WireError> {
        self.0.u64().map_err(|_| WireError::Malformed { what })
    }

    /// A byte string, borrowed.
    pub(in crate::wire) fn bytes(&mut self, limit: Limit) -> Result<&'b [u8], WireError> {
        let bytes = self.0.bytes().map_err(|_| WireError::Malformed { what: limit.what })?;
        limit.check(bytes.len())?;
        Ok(bytes)
    }

    /// A byte string of fixed length.
    pub(in crate::wire) fn fixed<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], WireError> {
        self.bytes(Limit { what, max: N })?.try_into().map_err(|_| WireError::Malformed { what })
    }

    /// A text string, borrowed.
    pub(in crate::wire) fn text(&mut self, limit: Limit) -> Result<&'b str, WireError> {
        let text = self.0.str().map_err(|_| WireError::Malformed { what: limit.what })?;
        limit.check(text.len())?;
        Ok(text)
    }

    /// A text string, or null.
    pub(in crate::wire) fn optional_text(&mut self, limit: Limit) -> Result<Option<&'b str>, WireError> {
        if matches!(self.0.datatype(), Ok(Type::Null)) {
            self.0.null().map_err(|_| WireError::Malformed { what: limit.what })?;
            Ok(None)
        } else {
            self.text(limit).map(Some)
        }
    }

    /// A byte string of fixed length, or null.
    pub(in crate::wire) fn optional_fixed<const N: usize>(
        &mut self,
        what: &'static str,
    ) -> Result<Option<[u8; N]>, WireError> {
        if matches!(self.0.datatype(), Ok(Type::Null)) {
            self.0.null().map_err(|_| WireError::Malformed { what })?;
            Ok(None)
        } else {
            self.fixed(what).map(Some)
        }
    }

    /// A list; it grows with what is really there, not with the length that it claims.
    pub(in crate::wire) fn list<T: Wire>(&mut self, limit: Limit) -> Result<Vec<T>, WireError> {
        let length = self.array(limit.what)?;
        limit.check(length)?;
        let mut values = Vec::new();
        for _ in 0..length {
            values.push(T::read(self)?);
        }
        Ok(values)
    }

    /// Passes over one value of any shape.
    pub(in crate::wire) fn skip(&mut self, what: &'static str) -> Result<(), WireError> {
        self.0.skip().map_err(|_| WireError::Malformed { what })
    }
}

/// Arrays and maps of indefinite length, `None`, are not part of the grammar.
fn definite(length: Option<u64>, what: &'static str) -> Result<usize, WireError> {
    length.and_then(|length| usize::try_from(length).ok()).ok_or(WireError::Malformed { what })
}
