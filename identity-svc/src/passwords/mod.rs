//! Password hashes in Django's encodings, and the actor that computes them.
