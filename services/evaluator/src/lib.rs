//! caerus-evaluator
