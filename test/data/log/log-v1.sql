-- Rows as a log of schema version 1 has them; the segment of its episode is segment-v1.seg.
INSERT INTO events VALUES (1, 'b-1', 'booted', 0, 0, 0, 1, 5, 1700000000000000000, 'boot-0', 'nudge', 0, 0, 2, '{"program":"nudge 0.1.0","robot":"kitchen-1"}');
INSERT INTO events VALUES (2, 'e-1', 'label', 3, 0, 0, 1, 5, 1700000000000000000, 'boot-0', 'anna', 2, 0, 2, '{"episode":3,"span":0,"value":1}');
INSERT INTO events VALUES (3, 'w-3', 'words', 0, 0, 0, 1, 5, 1700000000000000000, 'boot-0', 'anna#d-0123456789abcdef', 2, 0, 2, '{"text":"a bit lower","understood_as":"down 2 cm","use":2}');
INSERT INTO events VALUES (4, 'w-4', 'words', 0, 0, 0, 1, 5, 1700000000000000000, 'boot-0', 'anna#d-0123456789abcdef', 2, 0, 2, '{"text":"a bit lower","understood_as":"down 2 cm","use":2}');
INSERT INTO events VALUES (5, 'w-5', 'words', 0, 0, 0, 1, 5, 1700000000000000000, 'boot-0', 'anna#d-0123456789abcdef', 2, 0, 2, '{"text":"a bit lower","understood_as":"down 2 cm","use":2}');
INSERT INTO events VALUES (6, 'w-6', 'words', 0, 0, 0, 1, 5, 1700000000000000000, 'boot-0', 'anna#d-0123456789abcdef', 2, 0, 2, '{"text":"a bit lower","understood_as":"down 2 cm","use":2}');
INSERT INTO events VALUES (7, 'w-7', 'words', 0, 0, 0, 1, 5, 1700000000000000000, 'boot-0', 'anna#d-0123456789abcdef', 2, 0, 2, '{"text":"a bit lower","understood_as":"down 2 cm","use":2}');
INSERT INTO events VALUES (8, 'w-8', 'words', 0, 0, 0, 1, 5, 1700000000000000000, 'boot-0', 'anna#d-0123456789abcdef', 2, 0, 2, '{"text":"a bit lower","understood_as":"down 2 cm","use":2}');
INSERT INTO events VALUES (9, 'start-7', 'episode_started', 0, 7, 0, 1, 5, 1700000000000000000, 'boot-0', 'nudge', 0, 0, 2, '{"instruction":"tidy up","purpose":0,"seed":7}');
INSERT INTO events VALUES (13, 'end-7', 'episode_ended', 0, 7, 0, 1, 5, 1700000000000000000, 'boot-0', 'nudge', 0, 0, 2, '{"reason":0,"steps":3}');
INSERT INTO segments VALUES (7, 'episode-000000007.seg', 2040, 1);
INSERT INTO runs VALUES (10, 12, 7, 240, 2040);
