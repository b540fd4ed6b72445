# What an analyst writes in an afternoon: python-can reads, cantools decodes,
# and count, minimum, maximum and sum a second are kept. No histogram.
import math, sys
import can, cantools

log, database, limit = sys.argv[1], sys.argv[2], int(sys.argv[3])
db = cantools.database.load_file(database, encoding="utf-8")
frames, second, kept = 0, None, {}
for message in can.LogReader(log):
    if int(message.timestamp) != second:
        second, kept = int(message.timestamp), {}
    values = db.decode_message(message.arbitration_id, message.data, decode_choices=False)
    for name, value in values.items():
        key = (message.channel, message.arbitration_id, name)
        k = kept.get(key)
        if k is None:
            k = kept[key] = [0, math.inf, -math.inf, 0.0]
        k[0] += 1
        if value < k[1]:
            k[1] = value
        if value > k[2]:
            k[2] = value
        k[3] += value
    frames += 1
    if frames == limit:
        break
print(frames)
