//! Tests of the decoders from outside.

mod rows;
