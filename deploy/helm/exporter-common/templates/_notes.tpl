{{/* The notes after an installation. Takes root, and ready: the condition for which /ready returns 200. */}}
{{- define "exporter.notes" -}}
{{- $name := include "exporter.fullname" .root -}}
{{- $namespace := include "exporter.namespace" .root -}}
{{- $scheme := include "exporter.web.scheme" .root -}}
1. Wait until the exporter is ready: {{ .ready }}

     kubectl --namespace {{ $namespace }} rollout status deployment/{{ $name }}

   If it is not ready, /ready and the log show the reason:

     kubectl --namespace {{ $namespace }} logs deployment/{{ $name }}

2. Look at the metrics:

     kubectl --namespace {{ $namespace }} port-forward service/{{ $name }} 8080:{{ .root.Values.service.port }}
     curl --silent {{ ternary "--insecure " "" (eq $scheme "https") }}{{ ternary "--user <name> " "" (not (empty .root.Values.webConfig.content.basic_auth_users)) }}{{ $scheme }}://localhost:8080{{ .path }}

3. Configure Prometheus to scrape it.
{{- if or .root.Values.serviceMonitor.enabled .root.Values.podMonitor.enabled }}
   The chart has created a monitor for the Prometheus Operator. By default kube-prometheus-stack selects only monitors and rules
   with the label `release: <its release>`. If the target does not appear:

     helm upgrade {{ .root.Release.Name }} <chart> --namespace {{ .root.Release.Namespace }} --reset-then-reuse-values \
       --set {{ ternary "serviceMonitor" "podMonitor" .root.Values.serviceMonitor.enabled }}.additionalLabels.release=kube-prometheus-stack \
       --set prometheusRule.additionalLabels.release=kube-prometheus-stack
{{- else }}
   With the Prometheus Operator, set serviceMonitor.enabled=true. kube-prometheus-stack selects only monitors and rules
   with the label `release: <its release>`, so set serviceMonitor.additionalLabels.release too.
{{- end }}
{{- range $key, $tls := dict "serviceMonitor" "tlsConfig" "podMonitor" "tlsConfig" "podMonitoring" "tls" }}
{{- with get $.root.Values $key }}
{{- if and (eq $scheme "https") .enabled (not (get . $tls)) }}

   The endpoint uses HTTPS and {{ $key }}.{{ $tls }} is empty: Prometheus must trust the certificate, and the certificate must be
   valid for the name that Prometheus connects to ({{ $tls }}.serverName).
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
