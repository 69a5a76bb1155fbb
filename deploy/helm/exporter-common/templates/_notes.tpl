{{/* What to do after an installation. Takes root, and ready: what must hold for /ready to be 200. */}}
{{- define "exporter.notes" -}}
{{- $name := include "exporter.fullname" .root -}}
{{- $namespace := include "exporter.namespace" .root -}}
{{- $scheme := include "exporter.web.scheme" .root -}}
1. Wait until it can do its job: {{ .ready }}

     kubectl --namespace {{ $namespace }} rollout status deployment/{{ $name }}

   What is missing is on /ready and in the log:

     kubectl --namespace {{ $namespace }} logs deployment/{{ $name }}

2. Look at the metrics:

     kubectl --namespace {{ $namespace }} port-forward service/{{ $name }} 8080:{{ .root.Values.service.port }}
     curl --silent {{ ternary "--insecure " "" (eq $scheme "https") }}{{ ternary "--user <name> " "" (not (empty .root.Values.webConfig.content.basic_auth_users)) }}{{ $scheme }}://localhost:8080{{ .path }}

3. Let Prometheus scrape it.
{{- if or .root.Values.serviceMonitor.enabled .root.Values.podMonitor.enabled }}
   There is a monitor for the Prometheus Operator. kube-prometheus-stack selects only monitors and rules that carry its own
   release's name, `release: <its release>`, unless it is told otherwise. If the target does not appear:

     helm upgrade {{ .root.Release.Name }} <chart> --namespace {{ .root.Release.Namespace }} --reset-then-reuse-values \
       --set {{ ternary "serviceMonitor" "podMonitor" .root.Values.serviceMonitor.enabled }}.additionalLabels.release=kube-prometheus-stack \
       --set prometheusRule.additionalLabels.release=kube-prometheus-stack
{{- else }}
   With the Prometheus Operator, set serviceMonitor.enabled=true. kube-prometheus-stack selects only monitors and rules that
   carry its own release's name, so set serviceMonitor.additionalLabels.release too.
{{- end }}
{{- range $key, $tls := dict "serviceMonitor" "tlsConfig" "podMonitor" "tlsConfig" "podMonitoring" "tls" }}
{{- with get $.root.Values $key }}
{{- if and (eq $scheme "https") .enabled (not (get . $tls)) }}

   The endpoint speaks HTTPS and {{ $key }}.{{ $tls }} is empty: Prometheus must trust the certificate, and the name in it
   must be the one that it connects to ({{ $tls }}.serverName).
{{- end }}
{{- end }}
{{- end }}
{{- if .root.Values.podMonitoring }}
{{- if .root.Values.podMonitoring.enabled }}
   Google's collector scrapes it as the job {{ $name }}.
{{- end }}
{{- end }}
{{- if not .root.Values.prometheusRule.enabled }}

4. The chart has alerts (prometheusRule.enabled=true) and Grafana dashboards (dashboards.enabled=true).
{{- end }}
{{- end -}}
