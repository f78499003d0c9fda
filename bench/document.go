package main

import (
	"fmt"

	"github.com/caddy-jwt/caddy-jwt/bench/store"
)

var storeKinds = store.Kinds

// document is docs/performance.md.
func (r *results) document() string {
	pinned := "Server and load had no processor of their own."
	if r.Machine.Pinned {
		pinned = "Server and load had a processor each."
	}
	e := r.EndToEnd
	return fmt.Sprintf(`# Performance

All figures of this page were measured on %s, on this machine:
%s.
Other machines have other figures; quote the ratios. The page and its plots are made from nothing by

    make performance

which takes half an hour, and needs wrk and HAProxy (Debian's packages of these names).

## Whole servers

A Caddy with jwt and one header forwarded, beside the same Caddy without jwt and the same requests to it. Both answer by
themselves and write no access log, so that what jwt costs is not hidden by what costs more; in one row both are in front
of an upstream. %s wrk sends one request after the other over 16
connections that are kept. "CPU" is the time that the server's process ran, in user and kernel mode, divided by the
requests. For that both servers take turns of 100 ms, so that whatever else the machine does disturbs both alike. What
stands behind the ratio was measured with one server after the other. Medians of %d rounds of %d s for each; ratios are
taken within a round, and their least and greatest stand in parentheses.

%s
A whole Caddy is one in front of an upstream, as nearly all are. Where Caddy answers by itself there is least for the
same microseconds to hide behind.

¹ to a Caddy that checks the ES256 signature with Go's crypto, and nothing else: what has to be paid for tokens that were
never seen.

HAProxy's jwt_verify checks the signature alone, and again for each request; the bare HAProxy is a C program without
what a Caddy does.

## Budgets

What each step may cost. Steps are measured in the handler alone: it takes turns with a handler that does nothing, and
what that takes is taken off. Medians of the turns; the least of %d runs of %s, as whatever else the machine does only adds.

%s
## Tokens never seen

Parsing, all checks and the signature, and the token put into the cache; beside golang-jwt's parser with keyfunc, with
the same checks switched on, on the same tokens and keys. Both take turns, eight tokens each, one where a signature
takes longer than 0.1 ms; medians of the turns.

%s
Where the signature costs nearly all, as with ES512, both run the same code of Go's crypto.

## Memory

%s
Failures are not remembered at all, and only what an issuer's key has signed is, so that nobody outside can fill the
cache with anything else.

## Reloads

%s
## Growth

![Four plots: cost against issuers, API keys, tokens in use, and the size of the claims](%s)

Issuers are found by one look-up in a map, API keys by one digest and one look-up, which comes to one place in memory
that the processor's cache does not have. Tokens beyond what fits into the cache cost their signature again. Larger
claims cost their digest when the token was seen before, and their parsing when it was not.

%s
%s
## The store of the cache

The cache asks little of a store: to be found by a digest, from all processors at once, and to be bounded. What decides
is the last column. A thousand tokens are in steady use, each once in 100,000 requests, while all other requests bring
tokens that never come again, as a flood of short-lived tokens does: a store that drops what was used least recently has
none of the steady ones left, and verifies them again and again when the server has least time for it. otter's policy
(W-TinyLFU) keeps them. It is also bounded by bytes, which entries that differ by a factor of fifty need, and its hits
take no lock. It pays with a dearer insertion, which is a hundredth of the signature that was just verified.

A hit costs more than the others' too, and in a whole server, where nothing of it is in the processor's cache, several
times what the table says. So a small table in front of the store finds the tokens in use, and tells the store of them as
often as others are put in.

%s
## Where the time goes

A profile of the handler for tokens seen before, with one forward and one require scope, cumulative. benchServeEach and
PrepareRequest are the benchmark and Caddy.

`+"```text\n%s```\n", r.Machine.Date, r.Machine, pinned, e.Rounds, e.Seconds, r.endToEndTable(),
		r.Settings.Count, r.Settings.BenchTime, r.budgetTable(), r.neverSeenTable(), r.floodText(), r.reloadText(), plotFile, r.stateSection(), r.tokenSection()+"\n"+r.agentsSection()+"\n"+deskSection, r.storeTable(), r.Profile)
}
