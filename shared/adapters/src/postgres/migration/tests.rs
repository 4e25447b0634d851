//! Migrations from scratch and step by step, and databases that are not ours to touch.
