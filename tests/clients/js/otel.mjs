// The OpenTelemetry SDK for JavaScript: sends one trace, three logs and some metrics, prints what it sent.
//   node otel.mjs json|proto http://127.0.0.1:8080 service-name
import { DiagLogLevel, SpanKind, SpanStatusCode, context, diag, trace } from '@opentelemetry/api';
import { SeverityNumber } from '@opentelemetry/api-logs';
import { OTLPLogExporter as LogsJson } from '@opentelemetry/exporter-logs-otlp-http';
import { OTLPLogExporter as LogsProto } from '@opentelemetry/exporter-logs-otlp-proto';
import { OTLPMetricExporter as MetricsJson } from '@opentelemetry/exporter-metrics-otlp-http';
import { OTLPMetricExporter as MetricsProto } from '@opentelemetry/exporter-metrics-otlp-proto';
import { OTLPTraceExporter as TracesJson } from '@opentelemetry/exporter-trace-otlp-http';
import { OTLPTraceExporter as TracesProto } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchLogRecordProcessor, LoggerProvider } from '@opentelemetry/sdk-logs';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';

const [form, url, service] = process.argv.slice(2);
const headers = { 'x-honeycomb-team': 'aBcDeFgHiJkLmNoPqRsTuV' };
const compression = process.argv[5] ?? 'none';
const pick = (json, proto, path) => new (form === 'json' ? json : proto)({ url: url + path, headers, compression });
const resource = resourceFromAttributes({ 'service.name': service, 'host.name': 'js-host', 'process.pid': 4242 });

const values = {
  text: 'plain',
  empty: '',
  unicode: 'Grüße, 世界, 🦀, e\u0301',
  control: 'tab\tnew\nnull\u0000quote"backslash\\',
  long: 'ä'.repeat(32 * 1024),
  int: 42,
  negative: -7,
  zero: 0,
  safe_max: Number.MAX_SAFE_INTEGER,
  safe_min: Number.MIN_SAFE_INTEGER,
  float: 0.1,
  third: 1 / 3,
  tiny: 5e-324,
  huge: 1.7976931348623157e308,
  large_whole: 1e18,
  yes: true,
  no: false,
};
const arrays = { strings: ['a', '', 'ü'], numbers: [1, 2.5, -3], bools: [true, false], empty_list: [] };

const sent = { values, arrays, spans: {}, logs: {}, metrics: {} };
const failures = [];
const note = (...what) => failures.push(what.map(String).join(' '));
diag.setLogger({ error: note, warn: note, info() {}, debug() {}, verbose() {} }, DiagLogLevel.WARN);

// ---------------------------------------------------------------- traces
const spans = new BatchSpanProcessor(pick(TracesJson, TracesProto, '/v1/traces'));
const tracerProvider = new BasicTracerProvider({ resource, spanProcessors: [spans], spanLimits: { attributeCountLimit: 2000 } });
const tracer = tracerProvider.getTracer('js-lib', '1.2.3');
const start = Date.now() - 5000;
const root = tracer.startSpan('root', { kind: SpanKind.SERVER, startTime: start, attributes: { ...values, ...arrays } });
const child = tracer.startSpan('child', { kind: SpanKind.CLIENT, startTime: start + 10, links: [{ context: root.spanContext(), attributes: { why: 'link' } }] },
  trace.setSpan(context.active(), root));
child.addEvent('cache miss', { key: 'k', n: 5 }, start + 12);
child.recordException(new TypeError('broken'), start + 13);
child.setStatus({ code: SpanStatusCode.ERROR, message: 'it broke' });
child.end(start + 30);
root.end(start + 100.25);
sent.spans = { trace_id: root.spanContext().traceId, root: root.spanContext().spanId, child: child.spanContext().spanId, start_ms: start };

// ---------------------------------------------------------------- logs
const loggerProvider = new LoggerProvider({ resource, processors: [new BatchLogRecordProcessor({ exporter: pick(LogsJson, LogsProto, '/v1/logs') })] });
const logger = loggerProvider.getLogger('js-logger', '2');
const nested = { level: { one: 'x', two: { three: 3 } }, list: [1, 'a', true] };
logger.emit({ body: 'a text', severityNumber: SeverityNumber.INFO, severityText: 'INFO', timestamp: start + 1, attributes: { ...values, kind: 'text' }, context: trace.setSpan(context.active(), root) });
logger.emit({ body: nested, severityNumber: SeverityNumber.ERROR, timestamp: start + 2, attributes: { kind: 'map', nested } });
logger.emit({ body: 'no time', attributes: { kind: 'no time' } });
sent.logs = { nested, start_ms: start };

// ---------------------------------------------------------------- metrics
const reader = new PeriodicExportingMetricReader({ exporter: pick(MetricsJson, MetricsProto, '/v1/metrics'), exportIntervalMillis: 3_600_000 });
const meterProvider = new MeterProvider({ resource, readers: [reader] });
const meter = meterProvider.getMeter('js-meter', '3');
const requests = meter.createCounter('requests');
requests.add(3, { route: '/a' });
requests.add(4, { route: '/a' });
requests.add(1, { route: '/b' });
meter.createUpDownCounter('queue').add(-2, { route: '/a' });
meter.createGauge('load').record(0.75, { route: '/a' });
const latency = meter.createHistogram('latency', { unit: 'ms', advice: { explicitBucketBoundaries: [1, 10, 100] } });
for (const v of [0.5, 5, 50, 500]) latency.record(v, { route: '/a' });

// Shutdown sends what is pending; a refused export shows up in the SDK's own log.
for (const provider of [tracerProvider, loggerProvider, meterProvider]) await provider.shutdown().catch(note);
sent.failures = failures;
process.stdout.write(JSON.stringify(sent));
