-- Takes a partition over; empties it first where it is of another log. ARGV: 3 form of what is stored, 4 zero.
local outcome = 'done'
if log == ARGV[1] then
  local form = redis.call('HGET', KEYS[1], 'f')
  if form ~= ARGV[3] then return {'other form', form} end
  if claim > ARGV[2] then return {'later claim', ''} end
  redis.call('HSET', KEYS[1], 'c', ARGV[2])
else
  if log then outcome = 'emptied' end
  redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
  redis.call('HSET', KEYS[1], 'l', ARGV[1], 'c', ARGV[2], 'p', ARGV[4], 'n', ARGV[4], 'f', ARGV[3])
end
local state = redis.call('HMGET', KEYS[1], 'p', 'n', 's')
return {outcome, state[1], state[2], state[3]}
