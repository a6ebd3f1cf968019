// libhoney for JavaScript: sends events of all types, prints what it sent and the answers it got.
// (No BigInt: this version cannot copy an event that holds one, and drops it before sending.)
//   node libhoney.mjs http://127.0.0.1:8080 dataset
import Libhoney from 'libhoney';

const [url, dataset] = process.argv.slice(2);
const answers = [];
const honey = new Libhoney({
  apiHost: url,
  writeKey: 'aBcDeFgHiJkLmNoPqRsTuV',
  dataset,
  responseCallback: (responses) => answers.push(...responses.map((r) => ({ status: r.status_code, error: r.error?.message ?? null, n: r.metadata }))),
});

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
  yes: true,
  no: false,
  nothing: null,
  missing: undefined,
  nested: { a: 1, b: { c: 'deep', d: [1, { e: 2 }] } },
  list: [1, 'two', null, true, [3]],
  'with.dot': 1,
  'with space': 2,
};
const date = new Date('2024-03-01T12:00:00.123Z');

const times = [new Date('2024-03-01T12:00:00.500Z'), new Date('2024-03-01T12:00:01.000Z')];
const send = (n, data, timestamp, sampleRate = 1) => {
  const event = honey.newEvent();
  event.add({ ...data, n });
  event.timestamp = timestamp;
  event.metadata = n;
  event.sampleRate = sampleRate;
  event.sendPresampled();
};
send(0, values, times[0]);
send(1, { date }, times[1]);
send(2, { weight: 'seven' }, times[1], 7);
for (let n = 3; n < 203; n++) send(n, { bulk: true, v: n / 10 }, new Date(times[1].getTime() + n));
await honey.flush();

process.stdout.write(JSON.stringify({ values, date: date.toISOString(), times, answers }));
