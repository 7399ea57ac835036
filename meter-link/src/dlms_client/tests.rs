//! A model meter, and what the client does with one that behaves, and with one that does not.
