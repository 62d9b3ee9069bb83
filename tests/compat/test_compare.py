"""The comparison itself must be able to fail: `python -m unittest` in this directory."""

import unittest

import client
import compare

REQUEST = {"headers": [], "id": "q"}
ANSWER = {"outcome": "response", "status": 200, "headers": {"server": ["x"]}, "backend": "alpha"}


def differences(want, got, **request):
    return [found[:2] for found in compare.compare(want, got, {**REQUEST, **request}, {})]


class Differences(unittest.TestCase):
    def test_equal_recordings_do_not_differ(self):
        self.assertEqual(differences(ANSWER, dict(ANSWER)), [])

    def test_status_and_backend_come_first_and_are_hard(self):
        got = {**ANSWER, "status": 404, "backend": "beta", "headers": {"a": ["1"]}}
        self.assertEqual(differences(ANSWER, got)[:2], [("hard", "backend"), ("hard", "status")])

    def test_headers_of_envoy_are_soft(self):
        got = {**ANSWER, "headers": {"server": ["y"], "x-envoy-decorator": ["z"]}}
        self.assertEqual({kind for kind, _ in differences(ANSWER, got)}, {"soft"})

    def test_a_request_that_reached_somebody_else_is_hard(self):
        got = {**ANSWER, "seen": {"beta": {"count": 1}}}
        self.assertEqual(differences(ANSWER, got), [("hard", "seen.beta.count")])

    def test_refusing_by_a_reply_is_as_good_as_by_closing(self):
        got = {"outcome": "response", "status": 400}
        self.assertEqual(differences({"outcome": "dropped"}, got), [("soft", "form of refusal")])
        self.assertEqual(differences({"outcome": "dropped"}, ANSWER)[0], ("hard", "backend"))

    def test_shares_agree_within_the_tolerance_and_nothing_stays_nothing(self):
        want = {"shares": {"200 alpha": 75, "200 beta": 25}}
        self.assertEqual(differences(want, {"shares": {"200 alpha": 70, "200 beta": 30}}), [])
        self.assertEqual(len(differences(want, {"shares": {"200 alpha": 100}})), 2)
        self.assertEqual(len(differences(want, {"shares": {"200 alpha": 75, "200 beta": 24, "503 -": 1}})), 1)

    def test_elapsed_time_has_a_tolerance(self):
        want = {**ANSWER, "elapsed": 1.0}
        self.assertEqual(differences(want, {**want, "elapsed": 1.3}), [])
        self.assertEqual(differences(want, {**want, "elapsed": 1.6}), [("hard", "elapsed")])


class Observations(unittest.TestCase):
    def test_every_form_of_a_refused_handshake_reads_the_same(self):
        for kind in ("tls-closed", "handshake-closed", "reset"):
            got = compare.exchange({"outcome": kind}, [], {**REQUEST, "tls": {"sni": "a.test"}})
            self.assertEqual(got["outcome"], "tls-rejected")

    def test_what_differs_in_every_run_is_scrubbed(self):
        pairs = [("X-Id", "0b4ae2a0-34a5-4f3c-8c7e-0123456789ab"), ("Date", "now"), ("Set-Cookie", 's="0123abcd9"')]
        got = compare.header_map(pairs, compare.NOT_IN_RESPONSES)
        self.assertEqual(got, {"set-cookie": ['s="<generated>"'], "x-id": ["<uuid>"]})

    def test_errors_of_sockets_have_names(self):
        self.assertEqual(client.outcome_of(ConnectionRefusedError()), "refused")
        self.assertEqual(client.outcome_of(ValueError()), "error:ValueError")


if __name__ == "__main__":
    unittest.main()
