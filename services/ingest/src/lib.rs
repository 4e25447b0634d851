//! caerus-ingest
