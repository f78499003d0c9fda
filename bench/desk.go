package main

// deskSection is about the commands that people run by hand, and what they cost a server. Its
// figures are not measured with the others: they are differences that the noise of a machine
// hides, and a bound.
const deskSection = "## At the desk\n" + `
Measured on 2026-11-29, on the machine above while it did other things.

- ` + "`caddy jwt decode @token`" + ` took as long as ` + "`caddy version`" + `, which is what the binary takes to start: 175 ms each, medians of
  120 runs in turns, with differences of -8 ms and 4 ms in two rounds. Nothing is provisioned for it, and no server is asked.
- While nobody runs ` + "`caddy jwt watch`" + `, a refusal costs 0.7 ns more, and no memory. While somebody does, 0.5 µs and 304
  bytes: ` + "`go test ./internal/refusal -run - -bench Recent`" + `.
- 10,000 questions to ` + "`POST /jwt/explain`" + ` and the 10,000 requests that they are about, with the making of their tokens,
  took 25 s together: ` + "`go test -run TestExplainAgreesWithTheServer -v .`" + ` in ` + "`integration`" + `. At most four are answered at a time.

`
