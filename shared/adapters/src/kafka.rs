//! The bus on Apache Kafka, through librdkafka. Knows no other adapter.
