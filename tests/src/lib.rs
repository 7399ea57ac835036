//! The whole house from outside.
