//! caerus-gateway
