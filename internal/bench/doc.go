// Package bench measures what passes between two nodes: throughput, latency and
// the packet size that gets through.
//
// It speaks the protocol of iperf3, as client and as server, so that a node needs
// nothing but this program and a user's own iperf3 works against it. A test is one
// control connection (TCP) and, on the same port, one connection or UDP flow per
// stream:
//
//	client                                server
//	cookie (37 bytes)            ->
//	                             <-       9  PARAM_EXCHANGE
//	length, JSON of the test     ->
//	                             <-       10 CREATE_STREAMS
//	each stream: cookie          ->
//	                             <-       1  TEST_START, 2 TEST_RUNNING
//	............................ data ............................
//	4 TEST_END                   ->
//	                             <-       13 EXCHANGE_RESULTS
//	length, JSON of results      ->
//	                             <-       length, JSON of results, 14 DISPLAY_RESULTS
//	16 IPERF_DONE                ->
//
// (esnet/iperf, src/iperf_api.h and iperf_api.c; the protocol has no document.)
// One thing is added, in a key of the parameters that iperf3 ignores: an echo, by
// which the client measures latency and path MTU, idle and beside the streams.
package bench
