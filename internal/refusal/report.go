package refusal

import (
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// NewReportLogger bounds the lines of report mode, of which a client can cause as
// many as it likes: the first hundred of a second, then every hundredth. The
// metric counts them all.
func NewReportLogger(logger *zap.Logger) *zap.Logger {
	return logger.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Second, 100, 100)
	}))
}
