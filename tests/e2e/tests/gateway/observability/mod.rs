//! The files of `envoy/observability/`: read here with every run of the tests (`files`), and used by a real Prometheus that
//! scrapes real Envoys and the real policy service while every fault happens (`live`, `make e2e-observability`).

mod expressions;
mod files;
mod live;
mod prometheus;
mod world;
