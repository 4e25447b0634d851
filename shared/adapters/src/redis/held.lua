-- What every write of a partition begins with.
-- KEYS: 1 meta, 2 records, 3 agenda, 4 outbox. ARGV: 1 log id, 2 claim offset.
-- Numbers are text of twenty digits and are compared as such: Lua's own are exact only up to 2^53.
local log, claim, position, following = unpack(redis.call('HMGET', KEYS[1], 'l', 'c', 'p', 'n'))
local function refusal()
  if not log then return {'not opened', ''} end
  if log ~= ARGV[1] then return {'other log', ''} end
  if claim > ARGV[2] then return {'later claim', ''} end
  if claim < ARGV[2] then return {'not opened', ''} end
  return nil
end
