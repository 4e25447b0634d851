-- One batch, all or nothing: every check comes before the first write.
-- ARGV: 3 follows, 4 position, 5 sequence of the first outbox entry, 6 sequence after the last,
-- 7.. how many arguments are outbox entries (id, entry), records put (key, bytes), records removed (key),
-- agenda put (key, entry), agenda removed (key), the shared fold (none or one); then these, in this order.
local refused = refusal()
if refused then return refused end
if position ~= ARGV[3] then return {'position', position} end
if ARGV[5] ~= ARGV[6] and following ~= ARGV[5] then return {'sequence', following} end
-- A key of a foreign type fails here, while nothing is written.
redis.call('HLEN', KEYS[2])
redis.call('HLEN', KEYS[3])
redis.call('XLEN', KEYS[4])
local at = 13
-- In pieces, because unpack fills a stack of 8000 places. Pairs stay together: a piece is of even size.
local function bulk(command, key, count)
  local last = at + count - 1
  while at <= last do
    local piece = math.min(at + 999, last)
    redis.call(command, key, unpack(ARGV, at, piece))
    at = piece + 1
  end
end
local outbox_last = at + tonumber(ARGV[7]) - 1
while at < outbox_last do
  redis.call('XADD', KEYS[4], ARGV[at], 'e', ARGV[at + 1])
  at = at + 2
end
bulk('HSET', KEYS[2], tonumber(ARGV[8]))
bulk('HDEL', KEYS[2], tonumber(ARGV[9]))
bulk('HSET', KEYS[3], tonumber(ARGV[10]))
bulk('HDEL', KEYS[3], tonumber(ARGV[11]))
if ARGV[12] ~= '0' then redis.call('HSET', KEYS[1], 's', ARGV[at]) end
redis.call('HSET', KEYS[1], 'p', ARGV[4])
if ARGV[5] ~= ARGV[6] then redis.call('HSET', KEYS[1], 'n', ARGV[6]) end
return {'done', ''}
