package refusal

import (
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// NewReportLogger limits the log lines of report mode, since clients can cause any
// number of them: the first hundred in a second are written, then every hundredth. The
// metric counts all.
func NewReportLogger(logger *zap.Logger) *zap.Logger {
	return logger.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Second, 100, 100)
	}))
}
