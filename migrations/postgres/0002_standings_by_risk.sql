-- Who stands highest is what people ask first; sessions not seen for long are let go by their date.
CREATE INDEX standings_by_risk ON standings (tenant, kind, score DESC, assessed_at DESC);

CREATE INDEX standings_of_sessions ON standings (assessed_at) WHERE session <> '';
