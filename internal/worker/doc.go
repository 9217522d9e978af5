// Package worker is the life of a worker Pod: it carries out one order with an
// executor, tells the operator how it goes, takes what the operator wants now,
// and leaves behind what it came to. An operator that is away is no reason to
// do anything else than go on.
//
// It knows neither Kubernetes nor BitTorrent; main hands in the executor and the
// way to the operator.
package worker
